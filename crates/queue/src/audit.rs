//! Finds and repairs entries that no worker would ever read again (stranded by manual commands) and consumer names of
//! dead workers. Every consumer runs it periodically while it receives.

use std::sync::atomic::Ordering;
use std::time::Duration;

use error_text::chain;
use tokio::time::Instant;
use webhook::Family;

use crate::error::QueueError;
use crate::keys::GROUP;
use crate::repair::{Repair, RepairKind};
use crate::scripts::{self, ConsumerSession, STEP_BYTES_MAX, millis};

/// Longest interval between audits: damage is repaired within 30 seconds.
const INTERVAL_MAX: Duration = Duration::from_secs(30);
/// Steps of one audit; the next audit continues there. Covers 30,000 entries, or about 300 MiB.
const STEPS_MAX: usize = 300;
const AUDIT_PAGE: usize = 100;
/// A live worker is seen several times within half its lease.
const SILENT_MIN: Duration = Duration::from_secs(5);

/// When one consumer audits next, where it continues, and what it has repaired.
pub(crate) struct Auditor {
    due: Instant,
    from: Option<String>,
    repairs: Vec<Repair>,
}

impl Default for Auditor {
    fn default() -> Self {
        Self { due: next(), from: None, repairs: Vec::new() }
    }
}

/// With jitter, so that workers do not audit at the same time.
fn next() -> Instant {
    Instant::now() + INTERVAL_MAX.mul_f64(0.5 + fastrand::f64() / 2.0)
}

impl Auditor {
    pub(crate) fn take_repairs(&mut self) -> Vec<Repair> {
        std::mem::take(&mut self.repairs)
    }

    pub(crate) async fn audit_now(&mut self, session: &ConsumerSession) -> Result<(), QueueError> {
        self.due = next();
        let mut stranded = 0;
        for _ in 0..STEPS_MAX {
            let from = self.from.take();
            let mut script = scripts::AUDIT.prepare_invoke();
            script.key(&session.keys.events).key(&session.keys.delayed).arg(GROUP);
            script.arg(from.as_deref().unwrap_or("-")).arg(AUDIT_PAGE).arg(STEP_BYTES_MAX);
            let (go_on, found): (String, u64) = session.invoke("look for stranded entries", &script).await?;
            stranded += found;
            self.from = (!go_on.is_empty()).then_some(go_on);
            if self.from.is_none() {
                break;
            }
        }
        if stranded > 0 {
            session.has_due.store(true, Ordering::Relaxed);
        }
        self.record_repair(session.family, RepairKind::StrandedEntry, stranded);
        let silent = SILENT_MIN.max(session.lease / 2);
        let mut script = scripts::REMOVE_DEAD_CONSUMERS.prepare_invoke();
        script.key(&session.keys.events).arg(GROUP).arg(&session.name).arg(millis(silent));
        let gone = session.invoke("remove the consumers of dead workers", &script).await?;
        self.record_repair(session.family, RepairKind::DeadConsumer, gone);
        Ok(())
    }

    /// Audits when the next audit is due. A failed audit is only logged.
    pub(crate) async fn audit_when_due(&mut self, session: &ConsumerSession) {
        if Instant::now() < self.due {
            return;
        }
        match self.audit_now(session).await {
            Ok(()) => {}
            // The next read recreates the group.
            Err(error) if error.is_group_missing() => {}
            Err(error) => tracing::warn!(
                event.family = session.family.as_str(),
                error = chain(&error),
                "could not look for stranded entries; retrying"
            ),
        }
    }

    /// Logs and counts a repair.
    pub(crate) fn record_repair(&mut self, family: Family, kind: RepairKind, count: u64) {
        if count == 0 {
            return;
        }
        self.repairs.push(Repair { kind, count });
        macro_rules! line {
            ($level:ident, $message:literal) => {
                tracing::$level!(event.family = family.as_str(), repair = kind.as_str(), count, $message)
            };
        }
        match kind {
            RepairKind::DeadConsumer => line!(info, "consumers of dead workers removed"),
            RepairKind::StrandedEntry => line!(
                error,
                "entries were removed from their workers manually (XACK, XGROUP DELCONSUMER); they are due again"
            ),
            RepairKind::Group | RepairKind::Stream | RepairKind::QueueVanished => line!(
                error,
                "the consumer group was missing and has been recreated; every entry in the stream is read again"
            ),
        }
    }
}
