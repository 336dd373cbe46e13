//! Reads one family's entries in one worker: lost replies first, then due retries, abandoned entries, and new ones.

use std::sync::Arc;
use std::time::Duration;

use error_text::chain;
use futures_util::future::try_join_all;
use redis::RedisError;

use crate::audit::Auditor;
use crate::config::ConsumerConfig;
use crate::connection::{self, SharedConnection};
use crate::delivery::{Delivery, History};
use crate::entry::{ENTRIES_PER_READ, RawEntry};
use crate::error::QueueError;
use crate::keys::{FamilyKeys, GROUP, Keys};
use crate::leases::{Leases, keep_alive};
use crate::repair::Repair;
use crate::scripts::{self, ConsumerSession, millis};

/// Longest wait for new entries. Released and abandoned entries are only seen after it.
const BLOCK: Duration = Duration::from_secs(2);
/// A blocking read that exceeds its wait by this much is abandoned, with its connection.
const BLOCK_MARGIN: Duration = Duration::from_secs(5);
const CURSOR_START: &str = "0-0";
/// Entries that a stopping consumer releases in one step; it never receives more at once.
const RELEASE_MAX: usize = 1000;

/// Receives deliveries of one family. Dropping it keeps its deliveries alive; [`Consumer::remove`] is the clean
/// shutdown.
pub struct Consumer {
    pub(crate) session: Arc<ConsumerSession>,
    leases: Arc<Leases>,
    /// For blocking reads only.
    reading: SharedConnection,
    /// Redis may have delivered entries in a reply that was lost.
    unseen: bool,
    reclaim_cursor: String,
    auditor: Auditor,
}

/// The reply of `XREADGROUP`: entries by stream.
type NewEntries = Option<Vec<(String, Vec<RawEntry>)>>;

impl Consumer {
    /// Connects, and creates the group if it is missing.
    pub async fn connect(config: ConsumerConfig) -> Result<Self, QueueError> {
        let client = connection::client(&config.queue)?;
        let all_keys = Keys::new(&config.queue.key_prefix);
        let session = Arc::new(ConsumerSession {
            connection: SharedConnection::new(client.clone()),
            keys: FamilyKeys::new(&all_keys, config.family),
            all_keys,
            family: config.family,
            name: config.name,
            lease: config.lease,
        });
        scripts::ensure_group(&session.connection, &session.keys).await?;
        let leases = Arc::new(Leases::default());
        tokio::spawn(keep_alive(Arc::downgrade(&session), Arc::downgrade(&leases), config.lease));
        Ok(Self {
            session,
            leases,
            reading: SharedConnection::for_blocking(client),
            unseen: false,
            reclaim_cursor: CURSOR_START.to_owned(),
            auditor: Auditor::default(),
        })
    }

    /// Receives up to `free` deliveries; waits up to two seconds when there are none. A cancelled call loses nothing:
    /// the next one receives what this one was given.
    pub async fn receive(&mut self, free: usize) -> Result<Vec<Delivery>, QueueError> {
        self.receive_within(free, BLOCK).await
    }

    /// Receives up to `free` deliveries without waiting.
    pub async fn receive_now(&mut self, free: usize) -> Result<Vec<Delivery>, QueueError> {
        self.receive_within(free, Duration::ZERO).await
    }

    /// The repairs since the last call.
    pub fn take_repairs(&mut self) -> Vec<Repair> {
        self.auditor.take_repairs()
    }

    /// Audits now. [`Consumer::receive`] audits at least every 30 seconds.
    pub async fn audit_now(&mut self) -> Result<(), QueueError> {
        self.auditor.audit_now(&self.session).await
    }

    /// Clean shutdown: entries that Redis delivered and this consumer never saw are due immediately for others, and the
    /// consumer's name is removed unless deliveries are unsettled.
    pub async fn remove(self) {
        let mut script = scripts::REMOVE_CONSUMER.prepare_invoke();
        script.key(&self.session.keys.events).key(&self.session.keys.delayed);
        script.arg(GROUP).arg(&self.session.name).arg(RELEASE_MAX).arg(self.leases.ids());
        match self.session.invoke("remove the consumer", &script).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(
                    event.family = self.session.family.as_str(),
                    "unsettled deliveries remain; other workers reclaim them when their leases expire"
                );
            }
            Err(error) => tracing::warn!(
                event.family = self.session.family.as_str(),
                error = chain(&error),
                "could not remove the consumer's name from Redis"
            ),
        }
    }

    async fn receive_within(&mut self, free: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        if free == 0 {
            return Ok(Vec::new());
        }
        self.auditor.audit_when_due(&self.session).await;
        match self.take(free, wait).await {
            Err(error) if error.is_group_missing() => {
                // Another worker may have recreated it already.
                if let Some(kind) =
                    scripts::ensure_group(&self.session.connection, &self.session.keys).await?
                {
                    self.auditor.record_repair(self.session.family, kind, 1);
                }
                self.take(free, wait).await
            }
            Err(error) => {
                // The blocking connection is probably lost too, and would only fail after a timeout of its own.
                self.reading.disconnect();
                Err(error)
            }
            Ok(deliveries) => Ok(deliveries),
        }
    }

    async fn take(&mut self, free: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        let mut deliveries = Vec::new();
        if self.unseen {
            let mut script = scripts::RECOVER.prepare_invoke();
            script.key(&self.session.keys.events).arg(GROUP).arg(&self.session.name);
            script.arg(free).arg(self.leases.ids());
            let ids: Vec<String> = self.session.invoke("recover unseen entries", &script).await?;
            self.read_claimed(&ids, &mut deliveries).await?;
            self.unseen = ids.len() == free;
        }
        let more_unseen = std::mem::replace(&mut self.unseen, true);
        if deliveries.len() < free {
            match self.take_rest(free, wait, &mut deliveries).await {
                Ok(()) => {}
                // Deliveries already read are processed; the next call recovers the rest.
                Err(_) if !deliveries.is_empty() => return Ok(deliveries),
                Err(error) => return Err(error),
            }
        }
        self.unseen = more_unseen;
        Ok(deliveries)
    }

    async fn take_rest(
        &mut self,
        free: usize,
        wait: Duration,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<(), QueueError> {
        let ConsumerSession { keys, name, lease, .. } = &*self.session;
        let mut script = scripts::DUE.prepare_invoke();
        script.key(&keys.events).key(&keys.delayed).key(&keys.attempts);
        script.arg(GROUP).arg(name).arg(free - deliveries.len());
        // Milliseconds until the next entry is due, or -1.
        let (next_ms, ids): (i64, Vec<String>) = self.session.invoke("claim due entries", &script).await?;
        self.read_claimed(&ids, deliveries).await?;
        if deliveries.len() < free {
            let mut script = scripts::RECLAIM.prepare_invoke();
            script.key(&keys.events).key(&keys.attempts).arg(GROUP).arg(name).arg(millis(*lease));
            script.arg(&self.reclaim_cursor).arg(free - deliveries.len()).arg(self.leases.ids());
            let (cursor, ids): (String, Vec<String>) =
                self.session.invoke("reclaim abandoned entries", &script).await?;
            self.reclaim_cursor = cursor;
            self.read_claimed(&ids, deliveries).await?;
        }
        let mut wait = u64::try_from(next_ms).map_or(wait, |ms| wait.min(Duration::from_millis(ms)));
        while deliveries.len() < free {
            let count = ENTRIES_PER_READ.min(free - deliveries.len());
            if !deliveries.is_empty() {
                wait = Duration::ZERO;
            }
            let entries = self.read_new(count, wait).await?;
            let found = entries.len();
            self.hold(entries, deliveries).await?;
            if found < count {
                break;
            }
        }
        Ok(())
    }

    /// Reads entries that a script has claimed. Entries deleted manually since then are skipped.
    async fn read_claimed(&self, ids: &[String], deliveries: &mut Vec<Delivery>) -> Result<(), QueueError> {
        for ids in ids.chunks(ENTRIES_PER_READ) {
            let reads = ids.iter().map(async |id| {
                let mut read = redis::cmd("XRANGE");
                read.arg(&self.session.keys.events).arg(id).arg(id);
                self.session.connection.query::<Vec<RawEntry>>(&read).await
            });
            let entries = try_join_all(reads).await;
            let entries = entries.map_err(QueueError::while_doing("read claimed entries"))?;
            self.hold(entries.into_iter().flatten().collect(), deliveries).await?;
        }
        Ok(())
    }

    async fn read_new(&self, count: usize, wait: Duration) -> Result<Vec<RawEntry>, QueueError> {
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg(GROUP).arg(&self.session.name).arg("COUNT").arg(count);
        // BLOCK 0 would wait forever.
        if !wait.is_zero() {
            command.arg("BLOCK").arg(wait.as_millis().max(1) as u64);
        }
        command.arg("STREAMS").arg(&self.session.keys.events).arg(">");
        let read = self.reading.query_blocking(&command, wait + BLOCK_MARGIN).await;
        let streams: NewEntries = read.map_err(QueueError::while_doing("read new entries"))?;
        Ok(streams.into_iter().flatten().flat_map(|(_, entries)| entries).collect())
    }

    /// Starts leases for entries that belong to this consumer. New entries have a history too when the group was
    /// recreated.
    async fn hold(&self, entries: Vec<RawEntry>, deliveries: &mut Vec<Delivery>) -> Result<(), QueueError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut command = redis::cmd("HMGET");
        command.arg(&self.session.keys.attempts);
        for (id, _) in &entries {
            command.arg(id);
            for part in ["crashes", "alone", "first_error", "last_error"] {
                command.arg(format!("{id}#{part}"));
            }
        }
        let histories: Result<Vec<History>, RedisError> = self.session.connection.query(&command).await;
        let histories = histories.map_err(QueueError::while_doing("read attempts"))?;
        for (entry, history) in entries.into_iter().zip(histories) {
            deliveries.push(Delivery::new(&self.session, &self.leases, entry, history));
        }
        Ok(())
    }
}
