//! Looks for what nobody would ever take again, and mends it: entries stranded by commands by hand, names of workers that
//! died. Every consumer does it, now and then, while it receives.

use std::time::Duration;

use error_text::chain;
use tokio::time::Instant;
use webhook::Family;

use crate::error::QueueError;
use crate::keys::GROUP;
use crate::repair::{Repair, RepairKind};
use crate::scripts::{self, ConsumerSession, STEP_BYTES_MAX, millis};

/// Audits are so far apart at most, so that what is found is mended within half a minute.
const INTERVAL_MAX: Duration = Duration::from_secs(30);
/// Steps of one audit; it goes on there the next time. 30,000 entries, or about 300 MiB of them.
const STEPS_MAX: usize = 300;
const AUDIT_PAGE: usize = 100;
/// A living worker shows itself several times within half its lease.
const SILENT_MIN: Duration = Duration::from_secs(5);

/// When one consumer looks again, where it goes on, and what it has mended.
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

/// Spread, so that many workers do not look at once.
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
        self.record_repair(session.family, RepairKind::StrandedEntry, stranded);
        let silent = SILENT_MIN.max(session.lease / 2);
        let mut script = scripts::REMOVE_DEAD_CONSUMERS.prepare_invoke();
        script.key(&session.keys.events).arg(GROUP).arg(&session.name).arg(millis(silent));
        let gone = session.invoke("remove the names of dead workers", &script).await?;
        self.record_repair(session.family, RepairKind::DeadConsumer, gone);
        Ok(())
    }

    /// Looks for damage when it is time to. A look that fails is not worth failing for.
    pub(crate) async fn audit_when_due(&mut self, session: &ConsumerSession) {
        if Instant::now() < self.due {
            return;
        }
        match self.audit_now(session).await {
            Ok(()) => {}
            // The read that follows recreates the group.
            Err(error) if error.is_group_missing() => {}
            Err(error) => tracing::warn!(
                event.family = session.family.as_str(),
                error = chain(&error),
                "could not look for stranded entries; trying again"
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
            RepairKind::DeadConsumer => line!(info, "names of dead workers removed"),
            RepairKind::StrandedEntry => line!(
                error,
                "entries were taken from their workers by hand (XACK, XGROUP DELCONSUMER) and are due again"
            ),
            RepairKind::Group | RepairKind::Stream | RepairKind::QueueVanished => line!(
                error,
                "the consumer group was gone and is created anew: every entry in the stream is read again"
            ),
        }
    }
}
