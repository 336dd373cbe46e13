//! Reads one family's entries in one worker. A read takes new entries, or waits for them. Now and then, and always
//! before it waits, it first claims due retries and abandoned entries. Lost replies are read again before anything else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use error_text::chain;
use futures_util::future::{try_join, try_join_all};
use redis::RedisResult;
use tokio::time::Instant;

use crate::audit::Auditor;
use crate::config::ConsumerConfig;
use crate::connection::{self, SharedConnection};
use crate::delivery::{Delivery, History};
use crate::entry::{ENTRIES_PER_READ, RawEntry};
use crate::error::QueueError;
use crate::keys::{FamilyKeys, GROUP, Keys};
use crate::known_pauses::{KnownPauses, PTTL_NO_KEY};
use crate::leases::{Leases, keep_alive};
use crate::repair::Repair;
use crate::scripts::{self, ConsumerSession, millis};

/// Longest wait for new entries. Released and abandoned entries are only seen after it.
const BLOCK: Duration = Duration::from_secs(2);
/// While new entries keep coming, due and abandoned ones are claimed at this interval.
const CLAIM_INTERVAL: Duration = Duration::from_millis(20);
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
    /// When to claim, at the latest.
    claim_at: Instant,
    reclaim_cursor: String,
    /// The pauses that this consumer respects.
    pauses: Vec<ProjectPause>,
    auditor: Auditor,
}

/// A project, and the key that exists while its family is paused.
struct ProjectPause {
    project: String,
    key: String,
}

/// The replies of `XREADGROUP`, which has entries by stream, and of `EXISTS`.
type NewReply = (RedisResult<Option<Vec<(String, Vec<RawEntry>)>>>, RedisResult<u64>);

/// The reply of `claim.lua`.
type ClaimReply = (Vec<i64>, bool, i64, String, Vec<String>);

/// The result of a claim.
enum Claimed {
    /// Nothing is received now.
    Paused,
    /// The time until the next delayed entry is due, if there is one.
    UntilDue(Option<Duration>),
}

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
            pauses: KnownPauses::default(),
            has_due: AtomicBool::new(false),
        });
        scripts::ensure_group(&session.connection, &session.keys).await?;
        let leases = Arc::new(Leases::default());
        tokio::spawn(keep_alive(Arc::downgrade(&session), Arc::downgrade(&leases), config.lease));
        Ok(Self {
            session,
            leases,
            reading: SharedConnection::for_blocking(client),
            unseen: false,
            claim_at: Instant::now(),
            reclaim_cursor: CURSOR_START.to_owned(),
            pauses: Vec::new(),
            auditor: Auditor::default(),
        })
    }

    /// Respects the pauses of these projects: nothing is received while all of them are paused, and deliveries know the
    /// pause of their project.
    pub fn respect_pauses_of(&mut self, projects: impl IntoIterator<Item = String>) {
        let ConsumerSession { all_keys, family, .. } = &*self.session;
        let pause = |project: String| ProjectPause { key: all_keys.pause(&project, *family), project };
        self.pauses = projects.into_iter().map(pause).collect();
    }

    /// How long nothing will be received: `None` unless all projects are paused, as of the last read.
    pub fn paused_for(&self) -> Option<Duration> {
        let lefts = self.pauses.iter().map(|pause| self.session.pauses.left(&pause.project));
        // The shortest one; `None` is less than any.
        lefts.min().flatten()
    }

    /// Receives up to `free` deliveries; waits up to two seconds when there are none, unless the family is paused. A
    /// cancelled call loses nothing: the next one receives what this one was given.
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
        if !self.must_claim() {
            self.take_new(free, Duration::ZERO, deliveries).await?;
            if !deliveries.is_empty() {
                return Ok(());
            }
        }
        match self.claim(free, deliveries).await? {
            Claimed::Paused => Ok(()),
            Claimed::UntilDue(until_due) => {
                let wait = until_due.map_or(wait, |until_due| wait.min(until_due));
                self.take_new(free, wait, deliveries).await
            }
        }
    }

    fn must_claim(&self) -> bool {
        self.session.has_due.load(Ordering::Relaxed)
            || Instant::now() >= self.claim_at
            || self.paused_for().is_some()
    }

    /// Claims due and abandoned entries.
    async fn claim(&mut self, free: usize, deliveries: &mut Vec<Delivery>) -> Result<Claimed, QueueError> {
        let ConsumerSession { keys, name, lease, .. } = &*self.session;
        let mut script = scripts::CLAIM.prepare_invoke();
        script.key(&keys.events).key(&keys.delayed).key(&keys.attempts);
        for pause in &self.pauses {
            script.key(&pause.key);
        }
        script.arg(GROUP).arg(name).arg(millis(*lease)).arg(&self.reclaim_cursor);
        script.arg(free - deliveries.len()).arg(self.leases.ids());
        self.session.has_due.store(false, Ordering::Relaxed);
        let asked = Instant::now();
        // If it fails, the next read claims.
        self.claim_at = asked;
        let (ttls, is_paused, until_due_ms, cursor, ids): ClaimReply =
            self.session.invoke("claim due and abandoned entries", &script).await?;
        self.reclaim_cursor = cursor;
        self.learn_pauses(asked, &ttls);
        self.read_claimed(&ids, deliveries).await?;
        self.claim_at = Instant::now() + CLAIM_INTERVAL;
        if is_paused {
            return Ok(Claimed::Paused);
        }
        Ok(Claimed::UntilDue(u64::try_from(until_due_ms).ok().map(Duration::from_millis)))
    }

    /// Takes new entries; waits for the first one when there are no deliveries yet.
    async fn take_new(
        &self,
        free: usize,
        mut wait: Duration,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<(), QueueError> {
        while deliveries.len() < free {
            let count = ENTRIES_PER_READ.min(free - deliveries.len());
            if !deliveries.is_empty() {
                wait = Duration::ZERO;
            }
            let found = self.read_new(count, wait, deliveries).await?;
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
            let reads =
                async { try_join_all(reads).await.map_err(QueueError::while_doing("read claimed entries")) };
            let (found, histories) = try_join(reads, self.histories(ids)).await?;
            for (entry, history) in found.into_iter().zip(histories) {
                self.hold(entry.into_iter().zip([history]), deliveries);
            }
        }
        Ok(())
    }

    /// Reads new entries and returns their number. In the same round trip, after them, it asks whether there is more to
    /// know about them: histories, which new entries only have when the group was recreated, or a pause that began
    /// while the read waited.
    async fn read_new(
        &self,
        count: usize,
        wait: Duration,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<usize, QueueError> {
        let mut commands = redis::pipe();
        commands.ignore_errors().cmd("XREADGROUP").arg("GROUP").arg(GROUP).arg(&self.session.name);
        commands.arg("COUNT").arg(count);
        // BLOCK 0 would wait forever.
        if !wait.is_zero() {
            commands.arg("BLOCK").arg(wait.as_millis().max(1) as u64);
        }
        commands.arg("STREAMS").arg(&self.session.keys.events).arg(">");
        commands.cmd("EXISTS").arg(&self.session.keys.attempts);
        for pause in &self.pauses {
            commands.arg(&pause.key);
        }
        let asked = Instant::now();
        let read = self.reading.query_blocking(&commands, wait + BLOCK_MARGIN).await;
        let read = read.and_then(|(entries, existing): NewReply| Ok((entries?, existing?)));
        let (streams, existing) = read.map_err(QueueError::while_doing("read new entries"))?;
        let entries: Vec<RawEntry> = streams.into_iter().flatten().flat_map(|(_, entries)| entries).collect();
        let found = entries.len();
        let histories = if existing == 0 {
            self.learn_pauses(asked, &vec![PTTL_NO_KEY; self.pauses.len()]);
            vec![History::default(); found]
        } else if found > 0 {
            let ids: Vec<&String> = entries.iter().map(|(id, _)| id).collect();
            try_join(self.histories(&ids), self.look_for_pauses()).await?.0
        } else {
            Vec::new()
        };
        self.hold(entries.into_iter().zip(histories), deliveries);
        Ok(found)
    }

    async fn histories(&self, ids: &[impl AsRef<str>]) -> Result<Vec<History>, QueueError> {
        let mut command = redis::cmd("HMGET");
        command.arg(&self.session.keys.attempts);
        for id in ids {
            let id = id.as_ref();
            command.arg(id);
            for part in ["crashes", "alone", "first_error", "last_error"] {
                command.arg(format!("{id}#{part}"));
            }
        }
        let histories = self.session.connection.query(&command).await;
        histories.map_err(QueueError::while_doing("read attempts"))
    }

    async fn look_for_pauses(&self) -> Result<(), QueueError> {
        let asked = Instant::now();
        let ttls = self.pauses.iter().map(async |pause| {
            self.session.connection.query::<i64>(redis::cmd("PTTL").arg(&pause.key)).await
        });
        let ttls = try_join_all(ttls).await.map_err(QueueError::while_doing("look for a pause"))?;
        self.learn_pauses(asked, &ttls);
        Ok(())
    }

    /// Takes over a reply of `PTTL` for each project.
    fn learn_pauses(&self, asked: Instant, ttls: &[i64]) {
        for (pause, &ttl_ms) in self.pauses.iter().zip(ttls) {
            self.session.pauses.learn(&pause.project, asked, ttl_ms);
        }
    }

    /// Starts leases for entries that belong to this consumer.
    fn hold(&self, entries: impl Iterator<Item = (RawEntry, History)>, deliveries: &mut Vec<Delivery>) {
        let delivery = |(entry, history)| Delivery::new(&self.session, &self.leases, entry, history);
        deliveries.extend(entries.map(delivery));
    }
}
