//! The check of Redis before a program uses it: a Redis that would lose events is rejected, and one that is not up yet
//! is waited for.

use std::time::Duration;

use error_text::chain;
use tokio::time::Instant;

use crate::admin::QueueAdmin;
use crate::cause::Cause;
use crate::error::QueueError;
use crate::server_check::{ServerFinding, Severity};

/// A larger clock difference makes ages and retries wrong.
const CLOCK_AHEAD_MAX_MS: i64 = 30_000;
const WAIT: Duration = Duration::from_secs(1);
/// The reason for waiting is logged again this often.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// A Redis that must not be used, with every problem and its remediation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("REDIS_URL: {name} would not keep events safe: {problems}")]
pub struct PreflightError {
    name: String,
    problems: String,
}

/// The result of one check.
#[derive(Debug)]
pub enum Preflight {
    Ready,
    /// Down, loading, or with a full disk: check again later.
    NotReady(NotReady),
    Failed(PreflightError),
}

/// Why Redis is not ready yet.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    #[error("Redis at {address} cannot be used")]
    Unreachable {
        address: String,
        cause: Cause,
        #[source]
        source: QueueError,
    },
    #[error("Redis is not ready: {0}")]
    Busy(ServerFinding),
}

impl NotReady {
    /// How to fix it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { cause, .. } => cause.hint(),
            Self::Busy(finding) => finding.hint(),
        }
    }
}

impl QueueAdmin {
    /// Checks once whether the server may be used, and logs warnings. `allow_volatile` is the setting
    /// `ALLOW_VOLATILE_REDIS`.
    pub async fn preflight(&self, allow_volatile: bool) -> Preflight {
        let report = match self.check_server().await {
            Ok(report) => report,
            Err(source) => {
                let (address, cause) = (self.address(), self.diagnose(&source).await);
                return Preflight::NotReady(NotReady::Unreachable { address, cause, source });
            }
        };
        let busy =
            |finding: &&ServerFinding| matches!(finding, ServerFinding::Loading | ServerFinding::AppendFails);
        if let Some(finding) = report.findings.iter().find(busy) {
            return Preflight::NotReady(NotReady::Busy(finding.clone()));
        }
        let (wrong, warnings): (Vec<_>, Vec<_>) =
            report.findings.iter().partition(|finding| finding.severity(allow_volatile) == Severity::Wrong);
        if !wrong.is_empty() {
            let problems: Vec<String> =
                wrong.iter().map(|finding| format!("{finding}; {}", finding.hint())).collect();
            return Preflight::Failed(PreflightError {
                name: report.name,
                problems: problems.join(". Also, "),
            });
        }
        for finding in warnings {
            tracing::warn!(redis = report.name, hint = finding.hint(), "Redis: {finding}");
        }
        if let Some(clock_ahead_ms) = report.clock_ahead_ms
            && clock_ahead_ms.abs() > CLOCK_AHEAD_MAX_MS
        {
            tracing::warn!(
                redis = report.name,
                clock_ahead_ms,
                hint = "synchronize both clocks with NTP: timedatectl set-ntp true",
                "the clocks of Redis and of this machine differ; ages and retries are off by the difference"
            );
        }
        Preflight::Ready
    }

    /// Waits, without a time limit, until the server may be used.
    ///
    /// [`PreflightError`] when the server is up but must not be used.
    pub async fn wait_until_ready(&self, allow_volatile: bool) -> Result<(), PreflightError> {
        let mut logged: Option<(String, Instant)> = None;
        loop {
            let why = match self.preflight(allow_volatile).await {
                Preflight::Ready => return Ok(()),
                Preflight::Failed(unfit) => return Err(unfit),
                Preflight::NotReady(why) => why,
            };
            // One problem may hide another: a wrong password only shows once Redis is up.
            let error = chain(&why);
            if logged.as_ref().is_none_or(|(last, at)| *last != error || at.elapsed() >= LOG_EVERY) {
                let (redis, hint) = (self.address(), why.hint());
                tracing::warn!(error, redis.addr = redis, hint, "waiting for Redis");
                logged = Some((error, Instant::now()));
            }
            tokio::time::sleep(WAIT).await;
        }
    }
}
