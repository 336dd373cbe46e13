//! Dedupe records: which events were enqueued within the dedupe window.
//!
//! A record is a 63-bit number in a set of integers, `{…}:seen:<generation>:<shard>`. Redis stores it in 8 bytes while
//! the set has at most 512 members (the default of `set-max-intset-entries`), and in about 70 bytes beyond that. A
//! generation covers half of the window, so the current one and the two before it always cover the whole window; its
//! sets expire when no lookup needs them any more. `{…}:seen` lists the generations by expiry.
//!
//! A false duplicate occurs when another record in the same shard has the same 63 bits. With N records the probability
//! is N / 2048 / 2^63 per event: 3 * 10^-16 with five million records, the result of a million events a day.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::admin::QueueAdmin;
use crate::error::QueueError;

/// OpenAI retries an event for 72 hours; the other eight hours cover its delays and ours.
pub const DEDUPE_WINDOW: Duration = Duration::from_secs(80 * 3600);
/// Sets per generation.
pub(crate) const SHARDS: u16 = 2048;
/// Keys per scan step.
const SCAN_COUNT: usize = 1000;

/// How long a generation lasts: `enqueue.lua` checks the current one and the two before it.
pub(crate) fn generation_secs(window: Duration) -> u64 {
    window.as_secs().div_ceil(2).max(1)
}

/// The record of one event. Shard and member use different bits of the hash.
pub(crate) struct DedupeRecord {
    pub(crate) shard: u16,
    /// Sent as text: Lua numbers have only 53 bits.
    pub(crate) member: u64,
}

impl DedupeRecord {
    pub(crate) fn new(project: &str, webhook_id: &str) -> Self {
        let mut hash = Sha256::new();
        // With its length, so that no other pair gives the same input.
        hash.update((project.len() as u64).to_be_bytes());
        hash.update(project);
        hash.update(webhook_id);
        let [a, b, c, d, e, f, g, h, i, j, ..]: [u8; 32] = hash.finalize().into();
        Self {
            shard: u16::from_be_bytes([i, j]) % SHARDS,
            member: u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1,
        }
    }
}

impl QueueAdmin {
    /// Drops the oldest generation of dedupe records; duplicates of its events may be enqueued from then on. The newest
    /// generation is dropped only when `newest_too`. Returns whether there was one.
    pub async fn drop_oldest_dedupe_records(&self, newest_too: bool) -> Result<bool, QueueError> {
        let mut generations = self.dedupe_generations().await?;
        if !newest_too {
            generations.pop();
        }
        for generation in generations {
            let sets: Vec<_> = (0..SHARDS).map(|shard| self.keys.seen_set(&generation, shard)).collect();
            let mut drop = redis::pipe();
            drop.atomic().unlink(sets).zrem(self.keys.seen(), &generation);
            let (dropped, _): (u64, u64) = self.query_all("drop dedupe records", &drop).await?;
            if dropped > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Drops the dedupe keys of earlier versions: one string of 160 bytes per `webhook-id`, for seven days. Returns
    /// their number.
    pub async fn drop_legacy_dedupe_keys(&self) -> Result<u64, QueueError> {
        const OPERATION: &str = "drop dedupe keys of earlier versions";
        let prefix = format!("{}:", self.keys.seen());
        let (mut cursor, mut dropped) = (0_u64, 0);
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(SCAN_COUNT);
            scan.arg("TYPE").arg("string");
            let (next, mut keys): (u64, Vec<String>) = self.query(OPERATION, &scan).await?;
            // MATCH treats a `*` in the prefix as a wildcard.
            keys.retain(|key| key.starts_with(&prefix));
            if !keys.is_empty() {
                dropped += self.query::<u64>(OPERATION, redis::cmd("UNLINK").arg(keys)).await?;
            }
            cursor = next;
            if cursor == 0 {
                return Ok(dropped);
            }
        }
    }

    /// The generations of dedupe records, oldest first.
    pub(crate) async fn dedupe_generations(&self) -> Result<Vec<String>, QueueError> {
        let mut list = redis::cmd("ZRANGE");
        self.query("list dedupe generations", list.arg(self.keys.seen()).arg(0).arg(-1)).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn records_are_positive_numbers_that_differ_and_fill_all_shards() {
        let mut members = HashSet::new();
        let mut shards = HashSet::new();
        for n in 0..50_000 {
            let record = DedupeRecord::new("default", &format!("wh_{n}"));
            assert!(i64::try_from(record.member).is_ok() && record.shard < SHARDS);
            members.insert(record.member);
            shards.insert(record.shard);
        }
        assert_eq!((members.len(), shards.len()), (50_000, usize::from(SHARDS)));
    }

    #[test]
    fn the_border_between_project_and_webhook_id_matters() {
        assert_ne!(DedupeRecord::new("ab", "c").member, DedupeRecord::new("a", "bc").member);
    }

    #[test]
    fn three_generations_cover_the_window_at_any_time() {
        for (window, generation) in [(288_000, 144_000), (80, 40), (7, 4), (1, 1)] {
            assert_eq!(generation_secs(Duration::from_secs(window)), generation);
        }
    }
}
