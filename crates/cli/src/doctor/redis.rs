//! Redis: whether it can be reached, and whether it is fit to hold what is acknowledged (judged by the queue).

use queue::{Cause, QueueError, Severity};
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
    Checked { findings, clock_ahead_secs: report.clock_ahead_ms.map(|ms| ms / 1000) }
}

fn unreachable(error: &QueueError, cause: Cause) -> Finding {
    let what = format!("it cannot be used: {}", root_cause(error));
    Finding::wrong(Check::Redis, &what, cause.hint())
}
