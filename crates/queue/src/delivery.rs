//! One delivery of an entry to a worker, and the ways to settle it: here all but the ack (`acks.rs`). They take `self`,
//! so a delivery is settled only once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::{FromRedisValue, ScriptInvocation};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use webhook::{Event, Reason};

use crate::changes::CHANGES_MAX;
use crate::entry::{Entry, EntryError, RawEntry};
use crate::error::QueueError;
use crate::keys::{FamilyKeys, GROUP};
use crate::leases::{LeaseGuard, Leases};
use crate::scripts::{self, ConsumerSession, millis};

/// How long settling is retried while Redis is down. After that the entry is delivered again.
const SETTLE_FOR: Duration = Duration::from_secs(15);
const SETTLE_PAUSE_MIN: Duration = Duration::from_millis(50);
const SETTLE_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Maximum length of an error's text, which is stored twice per entry for people to read.
const ERROR_BYTES_MAX: usize = 2048;
/// Longer than any id of OpenAI.
const ANNOUNCED_ID_BYTES_MAX: usize = 512;
/// Longest delay of a retry; a longer one can only come from a wrong clock.
const DELAY_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// An entry leased to this worker until it is settled, dropped, or its lease is lost. Settling fails when Redis is down
/// for long; the entry is then delivered again when its lease expires.
#[must_use = "an unsettled delivery is delivered again when its lease expires, and counts as a crash"]
pub struct Delivery {
    /// Shared, so that it outlives the delivery.
    pub content: Result<Arc<Entry>, EntryError>,
    /// Failed attempts before this one, plus one.
    pub attempt: u32,
    /// Leases of this entry that expired earlier, because a worker died or hung.
    pub crashes: u32,
    /// Crashes while the entry ran alone: see [`Delivery::begin_alone`].
    pub crashes_alone: u32,
    /// The entry's stream id.
    pub entry_id: String,
    pub first_error: Option<String>,
    pub last_error: Option<String>,
    pub(crate) session: Arc<ConsumerSession>,
    lease: LeaseGuard,
}

/// The history of an entry: failed attempts, crashes, crashes alone, first and last error.
pub(crate) type History = (Option<u32>, Option<u32>, Option<u32>, Option<Vec<u8>>, Option<Vec<u8>>);

/// The result of settling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    Done,
    /// Nothing changed: this delivery no longer owns the entry. Its lease expired and another consumer has it, or an
    /// earlier call whose reply was lost has settled it.
    LeaseLost,
}

impl Delivery {
    pub(crate) fn new(
        session: &Arc<ConsumerSession>,
        leases: &Arc<Leases>,
        (entry_id, fields): RawEntry,
        (failed, crashes, crashes_alone, first_error, last_error): History,
    ) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            content: Entry::decode(&fields).map(Arc::new),
            attempt: failed.unwrap_or(0).saturating_add(1),
            crashes: crashes.unwrap_or(0),
            crashes_alone: crashes_alone.unwrap_or(0),
            lease: leases.hold(&entry_id),
            entry_id,
            first_error: first_error.map(text),
            last_error: last_error.map(text),
            session: Arc::clone(session),
        }
    }

    /// Cancelled when the lease is lost: stop, another consumer has the entry.
    pub fn lease_lost(&self) -> CancellationToken {
        self.lease.lost().clone()
    }

    /// Records in Redis that this delivery runs alone from now on: a later crash is caused by this entry. Does not
    /// settle it.
    ///
    /// When Redis stays down. Nothing was recorded then, and the delivery should not run.
    pub async fn begin_alone(&self) -> Result<Settled, QueueError> {
        let mut script = scripts::BEGIN_ALONE.prepare_invoke();
        script.key(&self.session.keys.events).key(&self.session.keys.attempts);
        script.arg(GROUP).arg(&self.session.name).arg(&self.entry_id).arg(self.crashes_alone);
        self.guarded("mark an entry as running alone", &script).await
    }

    /// The attempt failed; the next one is due after `delay` (at most seven days).
    pub async fn retry_after(
        self,
        delay: Duration,
        reason: Reason,
        error: &str,
    ) -> Result<Settled, QueueError> {
        let error = format!("{reason}: {}", shortened(error));
        self.put_back(delay, Some(&error)).await
    }

    /// Not a failed attempt; the entry is due again after `delay` (at most seven days).
    pub async fn snooze(self, delay: Duration) -> Result<Settled, QueueError> {
        self.put_back(delay, None).await
    }

    /// For a stopping worker: the entry is due immediately for any other; neither an attempt nor a crash.
    pub async fn release(self) -> Result<Settled, QueueError> {
        self.put_back(Duration::ZERO, None).await
    }

    /// Gives the event up: moves the entry to the dead letters, with the reason. `file_expires_ms` is when OpenAI
    /// deletes the event's file, in unix milliseconds; a redrive after that is too late.
    pub async fn dead_letter(
        self,
        reason: Reason,
        error: &str,
        file_expires_ms: Option<i64>,
    ) -> Result<Settled, QueueError> {
        let error = format!("{reason}: {}", shortened(error));
        let FamilyKeys { events, delayed, attempts, dead } = &self.session.keys;
        let mut script = scripts::DEAD_LETTER.prepare_invoke();
        script.key(events).key(delayed).key(attempts).key(dead).key(self.session.all_keys.changes());
        script.arg(GROUP).arg(&self.session.name).arg(&self.entry_id).arg(reason.as_str()).arg(error);
        script.arg(self.session.family.as_str()).arg(self.announced_id()).arg(CHANGES_MAX);
        script.arg(file_expires_ms);
        self.guarded("write a dead letter", &script).await
    }

    /// The id under which its end is announced: the object's, or else the webhook's; the entry's if it cannot be decoded.
    pub(crate) fn announced_id(&self) -> String {
        let Ok(entry) = &self.content else { return self.entry_id.clone() };
        let event = Event::parse(&entry.body).ok();
        let object_id = event.as_ref().and_then(Event::object_id);
        let id = object_id.as_deref().unwrap_or(&entry.webhook_id);
        id[..id.floor_char_boundary(ANNOUNCED_ID_BYTES_MAX)].to_owned()
    }

    async fn put_back(&self, delay: Duration, error: Option<&str>) -> Result<Settled, QueueError> {
        let FamilyKeys { events, delayed, attempts, .. } = &self.session.keys;
        let mut script = scripts::PUT_BACK.prepare_invoke();
        script.key(events).key(delayed).key(attempts).arg(GROUP).arg(&self.session.name).arg(&self.entry_id);
        script.arg(millis(delay.min(DELAY_MAX))).arg(self.crashes_alone).arg(error);
        let settled = self.guarded("put a delivery back", &script).await;
        if delay.is_zero() {
            self.session.has_due.store(true, Ordering::Relaxed);
        }
        settled
    }

    /// Runs a script that takes effect only while this delivery owns the entry. Redis checks the consumer; the lease
    /// itself is checked here.
    async fn guarded(
        &self,
        operation: &'static str,
        script: &ScriptInvocation<'_>,
    ) -> Result<Settled, QueueError> {
        if self.lease.lost().is_cancelled() {
            return Ok(Settled::LeaseLost);
        }
        match self.session.persist(operation, script).await {
            Ok(true) => Ok(Settled::Done),
            Ok(false) => Ok(Settled::LeaseLost),
            Err(error) if error.is_group_missing() => Ok(Settled::LeaseLost),
            Err(error) => Err(error),
        }
    }
}

impl ConsumerSession {
    /// Retries retryable errors. The heartbeat continues meanwhile.
    pub(crate) async fn persist<T: FromRedisValue>(
        &self,
        operation: &'static str,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, QueueError> {
        let started = Instant::now();
        let mut pause = SETTLE_PAUSE_MIN;
        loop {
            match self.invoke(operation, script).await {
                Err(error)
                    if error.is_retryable()
                        && !error.is_group_missing()
                        && started.elapsed() < SETTLE_FOR =>
                {
                    tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                    pause = SETTLE_PAUSE_MAX.min(pause * 2);
                }
                ended => return ended,
            }
        }
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("entry_id", &self.entry_id)
            .field("content", &self.content)
            .field("attempt", &self.attempt)
            .field("crashes", &self.crashes)
            .field("crashes_alone", &self.crashes_alone)
            .finish_non_exhaustive()
    }
}

fn shortened(error: &str) -> &str {
    &error[..error.floor_char_boundary(ERROR_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_error_is_cut_between_characters() {
        let long = "ä".repeat(ERROR_BYTES_MAX);
        assert_eq!(shortened(&long).len(), ERROR_BYTES_MAX);
        let odd = format!("a{long}");
        assert_eq!(shortened(&odd).len(), ERROR_BYTES_MAX - 1);
        assert_eq!(shortened("short"), "short");
    }
}
