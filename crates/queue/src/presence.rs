//! A program's place beside its Redis: it reports itself, and looks whether Redis still keeps what it is given. A fault
//! that appears while the program runs is logged, not acted upon: a stopped program would lose more.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::host_name;
use crate::error::{QueueError, chain};
use crate::instances::{BEAT_EVERY, Instance, InstanceInfo, KnownTargets};
use crate::server_check::{ServerFinding, Severity};
use crate::stats::QueueReader;

/// Reports of dead programs are looked for this often.
const FORGET_EVERY: Duration = Duration::from_secs(3600);
/// A stopping program does not wait longer for Redis.
const LEAVE_MAX: Duration = Duration::from_secs(2);

/// What one look finds.
#[derive(Debug)]
pub struct Seen {
    pub findings: Vec<ServerFinding>,
    /// This program among them.
    pub instances: Vec<Instance>,
}

/// Reports one program and watches its Redis.
pub struct Presence {
    reader: QueueReader,
    id: String,
    program: &'static str,
    version: &'static str,
    allow_volatile: bool,
    started: Instant,
    /// `None` before the first look.
    known: Option<Vec<ServerFinding>>,
    forgot_at: Option<Instant>,
}

impl Presence {
    /// `id` is unique to the process and its start: see [`crate::consumer_name`]. `allow_volatile` is
    /// `ALLOW_VOLATILE_REDIS`.
    pub fn new(
        reader: QueueReader,
        id: String,
        (program, version): (&'static str, &'static str),
        allow_volatile: bool,
    ) -> Self {
        let started = Instant::now();
        Self { reader, id, program, version, allow_volatile, started, known: None, forgot_at: None }
    }

    /// Reports and looks every ten seconds until `stop`, then takes the report back. `targets` says which targets are
    /// known now; `publish` takes what was seen, or that Redis could not be asked.
    pub async fn run(
        mut self,
        stop: CancellationToken,
        targets: impl Fn() -> Option<KnownTargets>,
        publish: impl Fn(Result<Seen, QueueError>),
    ) {
        while !stop.is_cancelled() {
            if let Some(seen) = stop.run_until_cancelled(self.look(targets())).await {
                publish(seen);
            }
            stop.run_until_cancelled(tokio::time::sleep(BEAT_EVERY)).await;
        }
        let left = tokio::time::timeout(LEAVE_MAX, self.reader.forget_instance(&self.id)).await;
        if let Ok(Err(error)) = left {
            tracing::debug!(error = chain(&error), "this program's report stays in Redis for a while");
        }
    }

    async fn look(&mut self, targets: Option<KnownTargets>) -> Result<Seen, QueueError> {
        let info = InstanceInfo {
            program: self.program.to_owned(),
            version: self.version.to_owned(),
            host: host_name(),
            targets,
        };
        // A Redis without room takes no report, but is worth a look.
        let reported = self.reader.beat(&self.id, info, self.started.elapsed()).await;
        let report = self.reader.check_server().await?;
        self.tell_changes(&report.name, &report.findings);
        reported?;
        if self.forgot_at.is_none_or(|at| at.elapsed() >= FORGET_EVERY) {
            self.reader.forget_old_instances().await?;
            self.forgot_at = Some(Instant::now());
        }
        Ok(Seen { findings: report.findings, instances: self.reader.instances().await? })
    }

    /// What was there at the start has been logged then.
    fn tell_changes(&mut self, redis: &str, findings: &[ServerFinding]) {
        let known = self.known.replace(findings.to_vec());
        let is_wrong = |finding: &ServerFinding| finding.severity(self.allow_volatile) == Severity::Wrong;
        let is_new = |finding: &&ServerFinding| match &known {
            Some(known) => !known.contains(finding),
            None => is_wrong(finding),
        };
        for finding in findings.iter().filter(is_new) {
            tracing::warn!(
                redis,
                redis.addr = self.reader.address(),
                fault = finding.label(),
                hint = finding.hint(),
                "Redis has changed while this program runs: {finding}"
            );
        }
        for finding in known.iter().flatten().filter(|finding| !findings.contains(finding)) {
            tracing::info!(
                redis,
                redis.addr = self.reader.address(),
                fault = finding.label(),
                "Redis is as it should be again: no longer so that {finding}"
            );
        }
    }
}
