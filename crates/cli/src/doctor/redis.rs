//! Redis: whether it can be reached, and whether it is fit to hold what is acknowledged (judged by the queue).

use queue::{Cause, MemoryLevel, MemoryReport, MemoryUse, QueueError, Severity};
use service::settings::RedisSettings;

use super::findings::{Check, Finding};
use crate::exit::root_cause;
use crate::queued;

pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    /// By how much Redis's clock is ahead of ours.
    pub(super) clock_ahead_secs: Option<i64>,
}

pub(super) async fn check(settings: &RedisSettings) -> Checked {
    let unusable = |finding| Checked { findings: vec![finding], clock_ahead_secs: None };
    let reader = match queue::QueueReader::new(&queued::config(settings)) {
        Ok(reader) => reader,
        Err(error) => return unusable(unreachable(&error, Cause::InvalidUrl)),
    };
    let report = match reader.check_server().await {
        Ok(report) => report,
        Err(error) => return unusable(unreachable(&error, reader.diagnose(&error).await)),
    };
    let mut findings = Vec::new();
    for found in &report.findings {
        let (what, cure) = (found.to_string(), found.hint());
        findings.push(match found.severity(settings.allow_volatile_redis) {
            Severity::Warning => Finding::warning(Check::Redis, &what, cure),
            Severity::Wrong => Finding::wrong(Check::Redis, &what, cure),
        });
    }
    let words = if findings.is_empty() { " and forgets nothing" } else { "" };
    findings.insert(0, Finding::ok(Check::Redis, &format!("{} answers{words}", report.name)));
    let memory = reader.memory_report().await.ok().flatten();
    findings.extend(memory.and_then(|memory| judge_memory(&memory)));
    Checked { findings, clock_ahead_secs: report.clock_ahead_ms.map(|ms| ms / 1000) }
}

/// What fills a Redis that is filling up.
fn judge_memory(memory: &MemoryReport) -> Option<Finding> {
    let share = memory.used_share()?;
    let mib = |memory_use| memory.bytes(memory_use) as f64 / f64::from(1 << 20);
    let what = format!(
        "{:.0} % of maxmemory is used: backlog {:.1} MiB, dead letters {:.1} MiB, dedupe records {:.1} MiB, other {:.1} MiB",
        share * 100.0,
        mib(MemoryUse::Backlog),
        mib(MemoryUse::DeadLetters),
        mib(MemoryUse::Dedupe),
        mib(MemoryUse::Other),
    );
    let cure = match memory.largest() {
        MemoryUse::Backlog => "start workers, or more of them; landfall status shows what waits",
        MemoryUse::DeadLetters => "redrive or discard dead letters: landfall dead list",
        MemoryUse::Dedupe => "give Redis more memory (maxmemory), or ingest a lower DEDUPE_WINDOW_SECS",
        MemoryUse::Other => {
            "give Landfall a Redis of its own, or raise maxmemory; redis-cli --bigkeys shows what is large"
        }
    };
    match MemoryLevel::of(share) {
        MemoryLevel::Normal => None,
        MemoryLevel::High => Some(Finding::warning(Check::Redis, &what, cure)),
        MemoryLevel::NearlyFull => {
            Some(Finding::wrong(Check::Redis, &format!("{what}; webhooks are refused"), cure))
        }
    }
}

fn unreachable(error: &QueueError, cause: Cause) -> Finding {
    let what = format!("it cannot be used: {}", root_cause(error));
    Finding::wrong(Check::Redis, &what, cause.hint())
}
