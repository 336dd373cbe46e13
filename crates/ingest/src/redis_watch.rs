//! Monitors Redis in the background, so that ingest can start, and respond with 503, while Redis is down. Runs the
//! preflight check when Redis becomes reachable, then checks the queue while events cannot be enqueued, and monitors
//! the memory of Redis: the gate is closed while memory is short, and old dedupe records are dropped before that.

use std::time::Duration;

use error_text::chain;
use queue::{MemoryLevel, MemoryUse, PreflightError, Producer, QueueAdmin, QueueError};
use service::metrics::{Gauges, Registry};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admission::AdmissionGate;

const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Dedupe records are dropped while memory is short, one generation per check: a processed duplicate costs less than a
/// rejected event. Above this share of `maxmemory` the newest generation is dropped too.
const DROP_NEWEST_SHARE: f64 = 0.80;
const REPORT_INTERVAL: Duration = Duration::from_secs(15);

pub(crate) struct RedisWatch {
    gate: AdmissionGate,
    producer: Producer,
    reader: QueueAdmin,
    bytes: Gauges<1>,
    dedupe_records: Gauges<0>,
    /// When the level rises, the memory usage is logged.
    level: MemoryLevel,
    report_due: Instant,
    legacy_keys_dropped: bool,
}

impl RedisWatch {
    pub(crate) fn new(
        gate: AdmissionGate,
        producer: Producer,
        reader: QueueAdmin,
        registry: &mut Registry,
    ) -> Self {
        let bytes = registry.gauges(
            "landfall_redis_memory_bytes",
            "Memory used by Redis, by purpose; estimated from samples",
            ["use"],
        );
        let dedupe_records = registry.gauges(
            "landfall_dedupe_records",
            "Dedupe records, against which webhook-ids are compared; estimated from a sample",
            [],
        );
        let (level, report_due) = (MemoryLevel::Normal, Instant::now());
        Self { gate, producer, reader, bytes, dedupe_records, level, report_due, legacy_keys_dropped: false }
    }

    /// Runs until `stop` is cancelled. Cancels it, which ends the program, if Redis becomes reachable but would lose
    /// events.
    pub(crate) async fn run(
        mut self,
        allow_volatile: bool,
        stop: CancellationToken,
    ) -> Result<(), PreflightError> {
        let ended = stop.run_until_cancelled(self.watch(allow_volatile)).await.unwrap_or(Ok(()));
        if ended.is_err() {
            stop.cancel();
        }
        ended
    }

    async fn watch(&mut self, allow_volatile: bool) -> Result<(), PreflightError> {
        if self.gate.admit().is_err() {
            self.reader.wait_until_ready(allow_volatile).await?;
            self.gate.open();
        }
        loop {
            if self.gate.ready().is_err() {
                self.check_queue().await;
            }
            // While this fails, enqueues fail as well, and are rejected with 503.
            if let Err(error) = self.check_memory().await {
                tracing::debug!(error = chain(&error), "cannot read the memory usage of Redis");
            }
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    }

    /// Creates the consumer groups, so that a worker that starts later receives every event, and runs the enqueue
    /// script on a separate key.
    async fn check_queue(&self) {
        let checked = match self.producer.create_groups().await {
            Ok(()) => self.producer.check().await.map_err(|error| chain(&error)),
            Err(error) => Err(chain(&error)),
        };
        self.gate.record_enqueue(checked);
    }

    /// Checks the memory once. The metrics have no value while Redis is unreachable.
    async fn check_memory(&mut self) -> Result<(), QueueError> {
        let checked = self.try_check_memory().await;
        if checked.is_err() {
            self.bytes.clear();
            self.dedupe_records.clear();
            self.report_due = Instant::now();
        }
        checked
    }

    async fn try_check_memory(&mut self) -> Result<(), QueueError> {
        if !self.legacy_keys_dropped {
            let keys = self.reader.drop_legacy_dedupe_keys().await?;
            self.legacy_keys_dropped = true;
            if keys > 0 {
                tracing::info!(keys, "dropped dedupe keys written by an earlier version");
            }
        }
        let share = self.reader.memory_used().await?.unwrap_or(0.0);
        self.gate.set_memory_share(share);
        let before = std::mem::replace(&mut self.level, MemoryLevel::of(share));
        let worse = self.level > before;
        if worse || Instant::now() >= self.report_due {
            self.report(worse).await?;
        }
        if self.level > MemoryLevel::Normal
            && self.reader.drop_oldest_dedupe_records(share >= DROP_NEWEST_SHARE).await?
        {
            tracing::warn!(
                used_percent = (share * 100.0).round(),
                "dropped the oldest dedupe records to free memory in Redis: events that OpenAI redelivers may be \
                 processed twice"
            );
        }
        Ok(())
    }

    async fn report(&mut self, log: bool) -> Result<(), QueueError> {
        self.report_due = Instant::now() + REPORT_INTERVAL;
        let Some(memory) = self.reader.memory_report().await? else { return Ok(()) };
        for &memory_use in MemoryUse::ALL {
            self.bytes.with([memory_use.as_str()]).set(memory.bytes(memory_use) as f64);
        }
        self.dedupe_records.with([]).set(memory.dedupe_records as f64);
        if log {
            tracing::warn!(
                used_percent = memory.used_share().map(|share| (share * 100.0).round()),
                largest = memory.largest().as_str(),
                backlog_bytes = memory.bytes(MemoryUse::Backlog),
                dead_letter_bytes = memory.bytes(MemoryUse::DeadLetters),
                dedupe_bytes = memory.bytes(MemoryUse::Dedupe),
                other_bytes = memory.bytes(MemoryUse::Other),
                "Redis is filling up"
            );
        }
        Ok(())
    }
}
