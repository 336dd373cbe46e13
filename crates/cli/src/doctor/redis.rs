//! Redis: whether it can be reached, and whether it is fit to hold what is acknowledged (judged by the queue).

use queue::{QueueError, Severity, unreachable_cure};
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
    let report = async { queue::QueueReader::new(&queued::config(settings))?.check_server().await };
    let report = match report.await {
        Ok(report) => report,
        Err(error) => return Checked { findings: vec![unreachable(&error)], clock_ahead_secs: None },
    };
    let mut findings = Vec::new();
    for found in &report.findings {
        let (what, cure) = (found.to_string(), found.cure());
        findings.push(match found.severity(settings.allow_volatile_redis) {
            Severity::Warning => Finding::warning(Check::Redis, &what, cure),
            Severity::Wrong => Finding::wrong(Check::Redis, &what, cure),
        });
    }
    let words = if findings.is_empty() { " and forgets nothing" } else { "" };
    findings.insert(0, Finding::ok(Check::Redis, &format!("{} answers{words}", report.name)));
    Checked { findings, clock_ahead_secs: Some(report.clock_ahead_ms / 1000) }
}

fn unreachable(error: &QueueError) -> Finding {
    let what = format!("it cannot be used: {}", root_cause(error));
    Finding::wrong(Check::Redis, &what, unreachable_cure(error))
}
