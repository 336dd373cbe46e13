//! Looks at Redis' memory: closes the gate while Redis is nearly full, drops old dedupe records before it comes to that,
//! and says what fills it.

use std::time::Duration;

use queue::{MemoryLevel, MemoryReport, MemoryUse, QueueError, QueueReader};
use service::metrics::{Gauges, Registry};
use tokio::time::Instant;

use crate::admission::AdmissionGate;

/// Dedupe records are dropped while memory is short, one generation at a look: letting a duplicate in costs little,
/// refusing events costs more. From this share of `maxmemory` on the newest generation goes too.
const DROP_NEWEST_SHARE: f64 = 0.80;
const REPORT_EVERY: Duration = Duration::from_secs(15);

pub(crate) struct RedisMemory {
    reader: QueueReader,
    gate: AdmissionGate,
    bytes: Gauges<1>,
    dedupe_records: Gauges<0>,
    /// It is logged what fills Redis whenever this gets worse.
    level: MemoryLevel,
    report_due: Instant,
    legacy_keys_dropped: bool,
}

impl RedisMemory {
    pub(crate) fn new(reader: QueueReader, gate: AdmissionGate, registry: &mut Registry) -> Self {
        let bytes = registry.gauges(
            "landfall_redis_memory_bytes",
            "Memory that Redis uses, by what it holds; estimated from samples",
            ["use"],
        );
        let dedupe_records = registry.gauges(
            "landfall_dedupe_records",
            "Events that a repeated webhook-id is compared with; estimated from a sample",
            [],
        );
        let (level, report_due) = (MemoryLevel::Normal, Instant::now());
        Self { reader, gate, bytes, dedupe_records, level, report_due, legacy_keys_dropped: false }
    }

    /// One look. The metrics have no value while Redis does not answer.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub(crate) async fn look(&mut self) -> Result<(), QueueError> {
        let looked = self.try_look().await;
        if looked.is_err() {
            self.bytes.clear();
            self.dedupe_records.clear();
            self.report_due = Instant::now();
        }
        looked
    }

    async fn try_look(&mut self) -> Result<(), QueueError> {
        if !self.legacy_keys_dropped {
            let keys = self.reader.drop_legacy_dedupe_keys().await?;
            self.legacy_keys_dropped = true;
            if keys > 0 {
                tracing::info!(keys, "dropped dedupe keys that an earlier version wrote");
            }
        }
        let share = self.reader.memory_used().await?.unwrap_or(0.0);
        self.gate.set_memory_share(share);
        let before = std::mem::replace(&mut self.level, MemoryLevel::of(share));
        let worse = self.level > before;
        if worse || Instant::now() >= self.report_due {
            self.report(worse).await?;
        }
        if self.level > MemoryLevel::Normal {
            self.drop_dedupe_records(share).await?;
        }
        Ok(())
    }

    async fn report(&mut self, log: bool) -> Result<(), QueueError> {
        self.report_due = Instant::now() + REPORT_EVERY;
        let Some(memory) = self.reader.memory_report().await? else {
            return Ok(());
        };
        for &memory_use in MemoryUse::ALL {
            self.bytes.with([memory_use.as_str()]).set(memory.bytes(memory_use) as f64);
        }
        self.dedupe_records.with([]).set(memory.dedupe_records as f64);
        if log {
            log_what_fills_redis(&memory);
        }
        Ok(())
    }

    async fn drop_dedupe_records(&self, share: f64) -> Result<(), QueueError> {
        if self.reader.drop_oldest_dedupe_records(share >= DROP_NEWEST_SHARE).await? {
            tracing::warn!(
                used_percent = (share * 100.0).round(),
                "dropped the oldest dedupe records to free memory in Redis: events that OpenAI sends again may be \
                 processed twice"
            );
        }
        Ok(())
    }
}

fn log_what_fills_redis(memory: &MemoryReport) {
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
