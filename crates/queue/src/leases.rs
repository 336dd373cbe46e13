//! The leases of a consumer, and their heartbeat. A lease is held in Redis (the idle time of a pending entry) and
//! mirrored here, so that a handler learns when it has lost its delivery.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use error_text::chain;
use tokio_util::sync::CancellationToken;

use crate::cause::Cause;
use crate::keys::GROUP;
use crate::scripts::{self, ConsumerSession};

/// Renewals per lease period.
const BEATS_PER_LEASE: u32 = 4;
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// Delay after a failed heartbeat, when Redis is down or slow.
const BEAT_RETRY_DELAY: Duration = Duration::from_millis(500);
/// Leases renewed by one script call; more would block Redis.
const BATCH_MAX: usize = 256;

/// The leases a consumer holds.
#[derive(Default)]
pub(crate) struct Leases(Mutex<LeaseTable>);

#[derive(Default)]
struct LeaseTable {
    /// An entry that is lost and received again has a new lease with the same id.
    next_serial: u64,
    by_id: HashMap<String, Lease>,
}

struct Lease {
    serial: u64,
    lost: CancellationToken,
}

/// The lease of one delivery. Dropping it stops the heartbeat, and the lease expires.
pub(crate) struct LeaseGuard {
    leases: Arc<Leases>,
    id: String,
    serial: u64,
    lost: CancellationToken,
}

impl Leases {
    /// Starts the lease of an entry that Redis just delivered to this consumer.
    pub(crate) fn hold(self: &Arc<Self>, id: &str) -> LeaseGuard {
        let lost = CancellationToken::new();
        let mut table = self.lock();
        let serial = table.next_serial;
        table.next_serial += 1;
        // An older lease of this id was lost unnoticed because the group was recreated.
        if let Some(older) = table.by_id.insert(id.to_owned(), Lease { serial, lost: lost.clone() }) {
            older.lost.cancel();
        }
        LeaseGuard { leases: Arc::clone(self), id: id.to_owned(), serial, lost }
    }

    /// The ids of all leased entries.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.lock().by_id.keys().cloned().collect()
    }

    fn snapshot(&self) -> Vec<(String, u64)> {
        self.lock().by_id.iter().map(|(id, lease)| (id.clone(), lease.serial)).collect()
    }

    fn remove(&self, id: &str, serial: u64) -> Option<Lease> {
        let mut table = self.lock();
        if table.by_id.get(id)?.serial != serial {
            return None;
        }
        table.by_id.remove(id)
    }

    fn lock(&self) -> MutexGuard<'_, LeaseTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LeaseGuard {
    pub(crate) fn lost(&self) -> &CancellationToken {
        &self.lost
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        self.leases.remove(&self.id, self.serial);
    }
}

/// Renews leases as long as the consumer or one of its deliveries exists.
pub(crate) async fn keep_alive(session: Weak<ConsumerSession>, leases: Weak<Leases>, lease: Duration) {
    let pause = PAUSE_MIN.max(lease / BEATS_PER_LEASE);
    let mut next = pause;
    loop {
        tokio::time::sleep(next).await;
        let (Some(session), Some(leases)) = (session.upgrade(), leases.upgrade()) else {
            return;
        };
        next = if beat(&session, &leases).await { pause } else { pause.min(BEAT_RETRY_DELAY) };
    }
}

/// Renews every lease; returns whether Redis replied.
async fn beat(session: &ConsumerSession, leases: &Leases) -> bool {
    for batch in leases.snapshot().chunks(BATCH_MAX) {
        let ids: Vec<String> = batch.iter().map(|(id, _)| id.clone()).collect();
        let mut script = scripts::BEAT.prepare_invoke();
        script.key(&session.keys.events).arg(GROUP).arg(&session.name).arg(&ids);
        let lost: Vec<String> = match session.invoke("renew leases", &script).await {
            Ok(lost) => lost,
            // Without a group, nothing is pending any more.
            Err(error) if error.is_group_missing() => ids,
            Err(error) => {
                tracing::warn!(
                    event.family = session.family.as_str(),
                    error = chain(&error),
                    hint = Cause::of(&error).hint(),
                    "could not renew leases; retrying"
                );
                return false;
            }
        };
        for (id, serial) in batch.iter().filter(|(id, _)| lost.contains(id)) {
            if let Some(lease) = leases.remove(id, *serial) {
                lease.lost.cancel();
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_guard_ends_only_its_own_lease() {
        let leases = Arc::new(Leases::default());
        let older = leases.hold("1-0");
        let newer = leases.hold("1-0");
        assert!(older.lost().is_cancelled() && !newer.lost().is_cancelled());
        drop(older);
        assert_eq!(leases.ids(), ["1-0"]);
        drop(newer);
        assert!(leases.ids().is_empty());
    }
}
