//! Looks for what nobody would ever take again, and mends it: entries stranded by commands by hand, names of workers that
//! died. Every worker does it, now and then, in the course of [`Consumer::receive`].

use std::time::Duration;

use error_text::chain;
use tokio::time::Instant;

use crate::consumer::Consumer;
use crate::error::QueueError;
use crate::repair::{Repair, RepairKind};
use crate::scripts;

/// Audits are so far apart at most, so that what is found is mended within half a minute.
const EVERY_MAX: Duration = Duration::from_secs(30);
/// Steps of one audit; it goes on there the next time. 30,000 entries, or about 300 MiB of them.
const STEPS_MAX: usize = 300;
/// A living worker shows itself several times within half its lease.
const SILENT_MIN: Duration = Duration::from_secs(5);

/// When to look again, and where.
pub(crate) struct Schedule {
    due: Instant,
    from: Option<String>,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { due: next(), from: None }
    }
}

/// Spread, so that many workers do not look at once.
fn next() -> Instant {
    Instant::now() + EVERY_MAX.mul_f64(0.5 + fastrand::f64() / 2.0)
}

impl Consumer {
    /// What has been mended since the last call.
    pub fn take_repairs(&mut self) -> Vec<Repair> {
        std::mem::take(&mut self.repairs)
    }

    /// Looks for damage now. [`Consumer::receive`] does it by itself at least every half minute.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn audit_now(&mut self) -> Result<(), QueueError> {
        self.audit.due = next();
        let mut stranded = 0;
        for _ in 0..STEPS_MAX {
            let from = self.audit.from.take();
            let (go_on, found) = scripts::audit(&self.seat, from.as_deref().unwrap_or("-")).await?;
            stranded += found;
            self.audit.from = go_on;
            if self.audit.from.is_none() {
                break;
            }
        }
        self.mended(RepairKind::StrandedEntry, stranded);
        let silent = SILENT_MIN.max(self.seat.lease / 2);
        let gone = scripts::remove_dead_consumers(&self.seat, silent).await?;
        self.mended(RepairKind::DeadConsumer, gone);
        Ok(())
    }

    /// Looks for damage when it is time to. A look that fails is not worth failing for.
    pub(crate) async fn audit_when_due(&mut self) {
        if Instant::now() < self.audit.due {
            return;
        }
        match self.audit_now().await {
            Ok(()) => {}
            // The read that follows recreates the group.
            Err(error) if error.is_group_missing() => {}
            Err(error) => tracing::warn!(
                event.family = self.seat.family.as_str(),
                error = chain(&error),
                "could not look for stranded entries; trying again"
            ),
        }
    }

    /// Logs and counts a repair.
    pub(crate) fn mended(&mut self, kind: RepairKind, count: u64) {
        if count == 0 {
            return;
        }
        self.repairs.push(Repair { kind, count });
        let family = self.seat.family.as_str();
        match kind {
            RepairKind::DeadConsumer => {
                tracing::info!(
                    event.family = family,
                    repair = kind.as_str(),
                    count,
                    "names of dead workers removed"
                );
            }
            RepairKind::StrandedEntry => tracing::error!(
                event.family = family,
                repair = kind.as_str(),
                count,
                "entries were taken from their workers by hand (XACK, XGROUP DELCONSUMER) and are due again"
            ),
            RepairKind::Group | RepairKind::Stream | RepairKind::QueueVanished => tracing::error!(
                event.family = family,
                repair = kind.as_str(),
                count,
                "the consumer group was gone and is created anew: every entry in the stream is read again"
            ),
        }
    }
}
