//! The memory usage of Redis, in total and by use.

use redis::Pipeline;
use webhook::{Family, closed_set};

use crate::admin::QueueAdmin;
use crate::dedupe::SHARDS;
use crate::error::QueueError;
use crate::keys::FamilyKeys;
use crate::server_check::Info;

/// Sets sampled per generation; hashing spreads the records evenly.
const SAMPLED_SHARDS: u16 = 64;

/// Shares of `maxmemory` above which usage counts as high, and above which `ingest` refuses events.
const SHARE_HIGH: f64 = 0.70;
const SHARE_NEARLY_FULL: f64 = 0.85;

/// The level of memory usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemoryLevel {
    Normal,
    /// Dedupe records are dropped, so that no event has to be refused.
    High,
    /// Events are refused. The remaining memory is reserved for leases, retries and dead letters of queued events.
    NearlyFull,
}

impl MemoryLevel {
    /// The level for a share of `maxmemory`.
    pub fn of(used_share: f64) -> Self {
        match used_share {
            SHARE_NEARLY_FULL.. => Self::NearlyFull,
            SHARE_HIGH.. => Self::High,
            _ => Self::Normal,
        }
    }
}

closed_set! {
    /// What Redis uses memory for: the label `use` of `landfall_redis_memory_bytes`.
    pub enum MemoryUse {
        /// Unfinished events, their attempts and delays.
        Backlog => "backlog",
        DeadLetters => "dead_letters",
        Dedupe => "dedupe",
        /// Redis itself, the streams of changes and notifications, and other applications' keys.
        Other => "other",
    }
}

/// Memory usage by use. Streams and dedupe records are estimated from samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryReport {
    pub used_bytes: u64,
    /// `maxmemory`, if set.
    pub limit_bytes: Option<u64>,
    pub backlog_bytes: u64,
    pub dead_letter_bytes: u64,
    pub dedupe_bytes: u64,
    pub dedupe_records: u64,
}

impl MemoryReport {
    pub fn bytes(&self, memory_use: MemoryUse) -> u64 {
        match memory_use {
            MemoryUse::Backlog => self.backlog_bytes,
            MemoryUse::DeadLetters => self.dead_letter_bytes,
            MemoryUse::Dedupe => self.dedupe_bytes,
            MemoryUse::Other => {
                let known = self.backlog_bytes + self.dead_letter_bytes + self.dedupe_bytes;
                self.used_bytes.saturating_sub(known)
            }
        }
    }

    /// The largest use.
    pub fn largest(&self) -> MemoryUse {
        let all = MemoryUse::ALL.iter().copied();
        all.max_by_key(|&memory_use| self.bytes(memory_use)).expect("there are uses")
    }

    /// The used share of `maxmemory`; `None` without a limit.
    pub fn used_share(&self) -> Option<f64> {
        Some(self.used_bytes as f64 / self.limit_bytes? as f64)
    }
}

impl QueueAdmin {
    /// The used share of `maxmemory`; `None` without a limit, or when `INFO` is refused.
    pub async fn memory_used(&self) -> Result<Option<f64>, QueueError> {
        Ok(self.memory_info().await?.and_then(|memory| memory.used_share()))
    }

    /// Memory usage by use; `None` when Redis refuses the commands.
    pub async fn memory_report(&self) -> Result<Option<MemoryReport>, QueueError> {
        let Some(mut memory) = self.memory_info().await? else {
            return Ok(None);
        };
        let mut usage = redis::pipe();
        for &family in Family::ALL {
            let FamilyKeys { events, delayed, attempts, dead } = FamilyKeys::new(&self.keys, family);
            for key in [events, delayed, attempts, dead] {
                usage.cmd("MEMORY").arg("USAGE").arg(key);
            }
        }
        for generation in self.dedupe_generations().await? {
            for shard in 0..SAMPLED_SHARDS {
                let set = self.keys.seen_set(&generation, shard);
                usage.cmd("MEMORY").arg("USAGE").arg(&set).scard(set);
            }
        }
        let Some(replies) = self.ask_all(&usage).await? else {
            return Ok(None);
        };
        let (families, sets) = replies.split_at(4 * Family::ALL.len());
        for &[events, delayed, attempts, dead] in families.as_chunks::<4>().0 {
            memory.backlog_bytes += events + delayed + attempts;
            memory.dead_letter_bytes += dead;
        }
        for &[bytes, records] in sets.as_chunks::<2>().0 {
            memory.dedupe_bytes += bytes * u64::from(SHARDS / SAMPLED_SHARDS);
            memory.dedupe_records += records * u64::from(SHARDS / SAMPLED_SHARDS);
        }
        Ok(Some(memory))
    }

    async fn memory_info(&self) -> Result<Option<MemoryReport>, QueueError> {
        let text: Option<String> = self.query_if_allowed(redis::cmd("INFO").arg("memory")).await?;
        Ok(text.as_deref().and_then(parse_info))
    }

    /// A missing key counts as 0.
    async fn ask_all(&self, commands: &Pipeline) -> Result<Option<Vec<u64>>, QueueError> {
        match self.query_all::<Vec<Option<u64>>>("read the memory usage of Redis", commands).await {
            Ok(replies) => Ok(Some(replies.into_iter().map(Option::unwrap_or_default).collect())),
            Err(error) if error.is_retryable() => Err(error),
            Err(_refused) => Ok(None),
        }
    }
}

fn parse_info(info: &str) -> Option<MemoryReport> {
    let info = Info::parse(info);
    let number = |name| info.get(name)?.parse::<u64>().ok();
    Some(MemoryReport {
        used_bytes: number("used_memory")?,
        limit_bytes: number("maxmemory").filter(|&bytes| bytes > 0),
        backlog_bytes: 0,
        dead_letter_bytes: 0,
        dedupe_bytes: 0,
        dedupe_records: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_a_share_of_the_limit_if_there_is_one() {
        let share = |info| parse_info(info).and_then(|memory| memory.used_share());
        assert_eq!(share("used_memory:75\r\nmaxmemory:100\r\n"), Some(0.75));
        assert_eq!(share("used_memory:75\r\nmaxmemory:0\r\n"), None);
        assert_eq!(share("# Memory\r\n"), None);
    }

    #[test]
    fn memory_of_other_uses_is_the_rest() {
        let info = "used_memory:100\r\nmaxmemory:200\r\n";
        let memory = MemoryReport {
            backlog_bytes: 20,
            dead_letter_bytes: 10,
            dedupe_bytes: 30,
            ..parse_info(info).unwrap()
        };
        assert_eq!((memory.bytes(MemoryUse::Other), memory.largest()), (40, MemoryUse::Other));
        let estimated_too_high = MemoryReport { dedupe_bytes: 90, ..memory };
        assert_eq!(
            (estimated_too_high.bytes(MemoryUse::Other), estimated_too_high.largest()),
            (0, MemoryUse::Dedupe)
        );
    }
}
