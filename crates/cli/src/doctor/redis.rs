//! Redis: whether it can be reached, and whether it is fit to hold what is acknowledged (judged by the queue).

use std::time::Duration;

use error_text::{chain, root_cause};
use queue::{
    Cause, EnqueueError, Instance, MemoryLevel, MemoryReport, MemoryUse, Producer, QueueAdmin, QueueConfig,
    QueueError, Severity,
};
use service::settings::RedisSettings;

use super::findings::{Check, Finding};
use crate::queued;

/// Of the check's own stream and records, which are removed again.
const CHECK_STREAM_LENGTH_MAX: u64 = 1000;
const CHECK_DEDUPE_WINDOW: Duration = Duration::from_secs(2);

pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    /// By how much Redis's clock is ahead of ours.
    pub(super) clock_ahead_secs: Option<i64>,
    /// The programs that reported within a day; `None` when they cannot be read.
    pub(super) instances: Option<Vec<Instance>>,
}

pub(super) async fn check(settings: &RedisSettings) -> Checked {
    let unusable = |finding| Checked { findings: vec![finding], clock_ahead_secs: None, instances: None };
    let config = queued::config(settings);
    let reader = match QueueAdmin::new(&config) {
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
            Severity::Warning => Check::Redis.warning(what, cure),
            Severity::Wrong => Check::Redis.wrong(what, cure),
        });
    }
    let memory = reader.memory_report().await.ok().flatten();
    findings.extend(memory.and_then(|memory| judge_memory(&memory)));
    let mut instances = None;
    // A server that is no place for events is not tried further: that would only say the same again.
    if !findings.iter().any(Finding::is_wrong) {
        findings.extend(try_enqueue(&config).await);
        match read_all(&reader).await {
            Ok(read) => instances = Some(read),
            Err(error) => findings.push(unreachable(&error, Cause::of(&error))),
        }
    }
    if !findings.iter().any(Finding::is_wrong) {
        let words = if findings.is_empty() { ", forgets nothing" } else { "" };
        findings.insert(0, Check::Redis.ok(format!("{} takes events{words}", report.name)));
    }
    let clock_ahead_secs = report.clock_ahead_ms.map(|ms| ms / 1000);
    Checked { findings, clock_ahead_secs, instances }
}

/// What ingest does for each event, on a key of its own.
async fn try_enqueue(config: &QueueConfig) -> Option<Finding> {
    let tried = match Producer::new(config, CHECK_STREAM_LENGTH_MAX, CHECK_DEDUPE_WINDOW) {
        Ok(producer) => producer.check().await,
        Err(error) => return Some(unreachable(&error, Cause::InvalidUrl)),
    };
    let error = tried.err()?;
    let (what, cause) = (format!("it takes no event: {}", chain(&error)), Cause::of_enqueue(&error));
    Some(match error {
        // It is full of work: doctor's own limit plays no part.
        EnqueueError::Full => return None,
        _ => Check::Redis.wrong(what, cause.hint()),
    })
}

/// What workers and metrics read: a key of another kind, or one that an access list forbids, is met here.
async fn read_all(reader: &QueueAdmin) -> Result<Vec<Instance>, QueueError> {
    reader.stats().await?;
    reader.pauses().await?;
    reader.instances().await
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
        MemoryLevel::High => Some(Check::Redis.warning(what, cure)),
        MemoryLevel::NearlyFull => Some(Check::Redis.wrong(format!("{what}; webhooks are refused"), cure)),
    }
}

fn unreachable(error: &QueueError, cause: Cause) -> Finding {
    let what = format!("it cannot be used: {}", root_cause(error));
    Check::Redis.wrong(what, cause.hint())
}
