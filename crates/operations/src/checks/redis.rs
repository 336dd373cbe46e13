//! Checks that Redis can be reached and is configured to store acknowledged events durably.

use std::time::Duration;

use error_text::{chain, root_cause};
use queue::{
    Cause, EnqueueError, Instance, MemoryLevel, MemoryReport, MemoryUse, Producer, QueueAdmin, QueueConfig,
    QueueError, Severity,
};

use super::Depth;
use super::finding::{Check, Finding};

/// For the check's own stream and records, which are removed afterwards.
const CHECK_STREAM_LENGTH_MAX: u64 = 1000;
const CHECK_DEDUPE_WINDOW: Duration = Duration::from_secs(2);

/// What a check found.
pub struct Checked {
    pub findings: Vec<Finding>,
    /// How far Redis's clock is ahead of ours.
    pub clock_ahead_secs: Option<i64>,
    /// Programs with a heartbeat within a day; `None` when they cannot be read.
    pub instances: Option<Vec<Instance>>,
}

/// `allow_volatile` is the setting `ALLOW_VOLATILE_REDIS`.
pub async fn check(config: &QueueConfig, depth: Depth, allow_volatile: bool) -> Checked {
    let unusable = |finding| Checked { findings: vec![finding], clock_ahead_secs: None, instances: None };
    let reader = match QueueAdmin::new(config) {
        Ok(reader) => reader,
        Err(error) => return unusable(unreachable(&error, Cause::InvalidUrl)),
    };
    let report = match reader.check_server().await {
        Ok(report) => report,
        Err(error) => return unusable(unreachable(&error, reader.diagnose(&error).await)),
    };
    let mut findings = Vec::new();
    for found in &report.findings {
        let (what, hint) = (found.to_string(), found.hint());
        findings.push(match found.severity(allow_volatile) {
            Severity::Warning => Check::Redis.warning(what, hint),
            Severity::Wrong => Check::Redis.wrong(what, hint),
        });
    }
    let memory = reader.memory_report().await.ok().flatten();
    findings.extend(memory.and_then(|memory| check_memory(&memory)));
    let mut instances = None;
    // Further checks on an unusable server would only repeat the finding.
    let is_usable = !findings.iter().any(Finding::is_wrong);
    if is_usable && depth == Depth::Write {
        findings.extend(try_enqueue(config).await);
    }
    if is_usable || depth == Depth::Read {
        match read_all(&reader).await {
            Ok(read) => instances = Some(read),
            Err(error) if is_usable => findings.push(unreachable(&error, Cause::of(&error))),
            Err(_) => {}
        }
    }
    if !findings.iter().any(Finding::is_wrong) {
        findings.insert(0, Check::Redis.ok(all_well(&report.name, depth, findings.is_empty())));
    }
    let clock_ahead_secs = report.clock_ahead_ms.map(|ms| ms / 1000);
    Checked { findings, clock_ahead_secs, instances }
}

/// Says only what was tried.
fn all_well(server: &str, depth: Depth, is_durable: bool) -> String {
    match (depth, is_durable) {
        (Depth::Write, true) => format!("{server} stores events, durably"),
        (Depth::Write, false) => format!("{server} stores events"),
        (Depth::Read, true) => format!("{server} can be read, and its settings are durable"),
        (Depth::Read, false) => format!("{server} can be read"),
    }
}

/// Enqueues as ingest does, under a separate key.
async fn try_enqueue(config: &QueueConfig) -> Option<Finding> {
    let tried = match Producer::new(config, CHECK_STREAM_LENGTH_MAX, CHECK_DEDUPE_WINDOW) {
        Ok(producer) => producer.check().await,
        Err(error) => return Some(unreachable(&error, Cause::InvalidUrl)),
    };
    let error = tried.err()?;
    let (what, cause) = (format!("cannot enqueue events: {}", chain(&error)), Cause::of_enqueue(&error));
    Some(match error {
        // A full queue is not a fault of the server.
        EnqueueError::Full => return None,
        _ => Check::Redis.wrong(what, cause.hint()),
    })
}

/// Reads what workers and metrics read, which finds keys of a wrong type or forbidden by an ACL.
async fn read_all(reader: &QueueAdmin) -> Result<Vec<Instance>, QueueError> {
    reader.stats().await?;
    reader.pauses().await?;
    reader.instances().await
}

/// Reports what uses the memory of a Redis that is filling up.
fn check_memory(memory: &MemoryReport) -> Option<Finding> {
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
    let hint = match memory.largest() {
        MemoryUse::Backlog => "start more workers; landfall status shows the backlog",
        MemoryUse::DeadLetters => "redrive or discard dead letters: landfall dead list",
        MemoryUse::Dedupe => "raise maxmemory, or lower DEDUPE_WINDOW_SECS of ingest",
        MemoryUse::Other => {
            "give Landfall a separate Redis, or raise maxmemory; redis-cli --bigkeys lists large keys"
        }
    };
    match MemoryLevel::of(share) {
        MemoryLevel::Normal => None,
        MemoryLevel::High => Some(Check::Redis.warning(what, hint)),
        MemoryLevel::NearlyFull => Some(Check::Redis.wrong(format!("{what}; ingest rejects webhooks"), hint)),
    }
}

fn unreachable(error: &QueueError, cause: Cause) -> Finding {
    let what = format!("cannot use Redis: {}", root_cause(error));
    Check::Redis.wrong(what, cause.hint())
}
