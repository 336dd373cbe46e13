//! The presence of a program: it sends heartbeats to Redis, and checks the server's configuration. A problem that
//! appears while the program runs is only logged: stopping would lose more.

use std::collections::BTreeMap;
use std::time::Duration;

use error_text::chain;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admin::QueueAdmin;
use crate::config::host_name;
use crate::error::QueueError;
use crate::instances::{BEAT_EVERY, Instance, InstanceInfo, KnownTargets};
use crate::server_check::ServerFinding;

/// Interval at which dead programs are removed.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// A stopping program waits for Redis no longer than this.
const DEREGISTER_TIMEOUT: Duration = Duration::from_secs(2);

/// The programs that every installation needs; one without instances is published as 0.
const PROGRAMS: [&str; 2] = ["ingest", "worker"];

/// The result of one check.
#[derive(Debug)]
pub struct PresenceSnapshot {
    pub findings: Vec<ServerFinding>,
    /// Includes this program.
    pub instances: Vec<Instance>,
    /// The version of this program.
    version: &'static str,
}

impl PresenceSnapshot {
    /// Every possible fault, and whether it is present.
    pub fn faults(&self) -> impl Iterator<Item = (&'static str, bool)> {
        let is_there = |label: &str| self.findings.iter().any(|finding| finding.label() == label);
        ServerFinding::LABELS.into_iter().map(move |label| (label, is_there(label)))
    }

    /// The number of live instances by program and version: 0 also for a program that has died within the last day.
    pub fn alive(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        let mut counts = BTreeMap::new();
        for instance in self.instances.iter().filter(|instance| instance.is_alive()) {
            *counts.entry((instance.info.program.as_str(), instance.info.version.as_str())).or_insert(0) += 1;
        }
        let seen = self.instances.iter().map(|instance| instance.info.program.as_str());
        for program in PROGRAMS.into_iter().chain(seen) {
            if !counts.keys().any(|(known, _)| *known == program) {
                counts.insert((program, self.version), 0);
            }
        }
        counts.into_iter().map(|((program, version), count)| (program, version, count))
    }
}

/// Sends one program's heartbeats and watches its Redis.
pub struct Presence {
    queue_admin: QueueAdmin,
    id: String,
    program: &'static str,
    version: &'static str,
    started: Instant,
    /// `None` before the first check.
    known: Option<Vec<ServerFinding>>,
    pruned_at: Option<Instant>,
}

impl Presence {
    /// `id` is unique per process and start: see [`crate::consumer_name`].
    pub fn new(queue_admin: QueueAdmin, id: String, program: &'static str, version: &'static str) -> Self {
        Self { queue_admin, id, program, version, started: Instant::now(), known: None, pruned_at: None }
    }

    /// Sends a heartbeat and checks Redis every ten seconds until `stop`, then deregisters. `targets` returns the
    /// currently known targets; `publish` receives each result, or the error when Redis was unreachable.
    pub async fn run(
        mut self,
        stop: CancellationToken,
        targets: impl Fn() -> Option<KnownTargets>,
        publish: impl Fn(Result<PresenceSnapshot, QueueError>),
    ) {
        while !stop.is_cancelled() {
            if let Some(seen) = stop.run_until_cancelled(self.look(targets())).await {
                publish(seen);
            }
            stop.run_until_cancelled(tokio::time::sleep(BEAT_EVERY)).await;
        }
        let left =
            tokio::time::timeout(DEREGISTER_TIMEOUT, self.queue_admin.deregister_instance(&self.id)).await;
        if let Ok(Err(error)) = left {
            tracing::debug!(
                error = chain(&error),
                "could not deregister this program; its entry in Redis expires later"
            );
        }
    }

    async fn look(&mut self, targets: Option<KnownTargets>) -> Result<PresenceSnapshot, QueueError> {
        let info = InstanceInfo {
            program: self.program.to_owned(),
            version: self.version.to_owned(),
            host: host_name(),
            targets,
        };
        // The check is useful even when the heartbeat fails.
        let reported = self.queue_admin.beat(&self.id, &info, self.started.elapsed()).await;
        let report = self.queue_admin.check_server().await?;
        self.log_changes(&report.name, &report.findings);
        reported?;
        if self.pruned_at.is_none_or(|at| at.elapsed() >= PRUNE_EVERY) {
            self.queue_admin.prune_instances().await?;
            self.pruned_at = Some(Instant::now());
        }
        let instances = self.queue_admin.instances().await?;
        Ok(PresenceSnapshot { findings: report.findings, instances, version: self.version })
    }

    fn log_changes(&mut self, redis: &str, findings: &[ServerFinding]) {
        // The preflight has already logged the findings at the start.
        let Some(known) = self.known.replace(findings.to_vec()) else { return };
        for finding in findings.iter().filter(|finding| !known.contains(finding)) {
            tracing::warn!(
                redis,
                redis.addr = self.queue_admin.address(),
                fault = finding.label(),
                hint = finding.hint(),
                "Redis has changed while this program is running: {finding}"
            );
        }
        for finding in known.iter().filter(|finding| !findings.contains(finding)) {
            tracing::info!(
                redis,
                redis.addr = self.queue_admin.address(),
                fault = finding.label(),
                "problem with Redis resolved: {finding}"
            );
        }
    }
}
