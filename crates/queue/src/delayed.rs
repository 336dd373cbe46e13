//! Individual entries in the queue: those that wait for a retry, how to end their wait, and whether an entry still
//! exists.

use std::collections::HashMap;

use webhook::{Family, Reason};

use crate::admin::{QueueAdmin, unix_ms};
use crate::entry::{ENTRIES_PER_READ, Entry, RawEntry};
use crate::error::QueueError;
use crate::keys::FamilyKeys;
use crate::scripts;

/// Entries queried or made due in one step.
const STEP: usize = 500;
/// Entries queried in one step: Redis reads each one whole.
const UNSETTLED_STEP: usize = 16;

/// The script's reply: entry id, failed attempts, last error.
type Waiting = (String, Option<u32>, Option<Vec<u8>>);

/// An entry that is not due yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delayed {
    pub entry_id: String,
    /// When it is due, in unix milliseconds of Redis's clock.
    pub due_ms: i64,
    pub failed_attempts: u32,
    /// Why its last attempt failed. `None` when no attempt has failed yet, or for a reason added by a newer version.
    pub reason: Option<Reason>,
}

/// An entry that is undelivered, pending or delayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    pub entry_id: String,
    pub failed_attempts: u32,
    /// Reason and text of the last failed attempt.
    pub last_error: Option<String>,
}

impl QueueAdmin {
    /// A family's entries that are not due yet, in the order they are due.
    pub async fn delayed(&self, family: Family) -> Result<Vec<Delayed>, QueueError> {
        const OPERATION: &str = "read delayed entries";
        let keys = FamilyKeys::new(&self.keys, family);
        let now_ms = unix_ms(self.query(OPERATION, &redis::cmd("TIME")).await?);
        // A scan may return an entry twice.
        let (mut due, mut cursor) = (HashMap::new(), 0_u64);
        loop {
            let mut scan = redis::cmd("ZSCAN");
            scan.arg(&keys.delayed).arg(cursor).arg("COUNT").arg(STEP);
            let (next, page): (u64, Vec<(String, f64)>) = self.query(OPERATION, &scan).await?;
            due.extend(page.into_iter().map(|(id, due_ms)| (id, due_ms as i64)));
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        let waiting: Vec<(String, i64)> = due.into_iter().filter(|(_, due_ms)| *due_ms > now_ms).collect();
        let mut delayed = Vec::with_capacity(waiting.len());
        for step in waiting.chunks(STEP) {
            let mut history = redis::cmd("HMGET");
            history.arg(&keys.attempts);
            for (id, _) in step {
                history.arg(id).arg(format!("{id}#last_error"));
            }
            let history: Vec<(Option<u32>, Option<Vec<u8>>)> = self.query(OPERATION, &history).await?;
            delayed.extend(step.iter().zip(history).map(|((id, due_ms), (attempts, error))| Delayed {
                entry_id: id.clone(),
                due_ms: *due_ms,
                failed_attempts: attempts.unwrap_or(0),
                reason: error.and_then(|error| reason(&error)),
            }));
        }
        delayed.sort_by_key(|entry| entry.due_ms);
        Ok(delayed)
    }

    /// Makes entries due now: a worker tries them within seconds, unless their family is paused. Attempt counts do not
    /// change. Returns the entries that were still delayed.
    pub async fn make_due(&self, family: Family, entry_ids: &[String]) -> Result<Vec<String>, QueueError> {
        let mut due = Vec::new();
        for ids in entry_ids.chunks(STEP) {
            let mut script = scripts::MAKE_DUE.prepare_invoke();
            script.key(self.keys.delayed(family)).arg(ids);
            due.extend(self.invoke::<Vec<String>>("make entries due", &script).await?);
        }
        Ok(due)
    }

    /// Reads whole entries from the queue. Entries that cannot be decoded are omitted.
    pub async fn entries(
        &self,
        family: Family,
        entry_ids: &[String],
    ) -> Result<Vec<(String, Entry)>, QueueError> {
        let events = self.keys.events(family);
        let mut entries = Vec::new();
        for ids in entry_ids.chunks(ENTRIES_PER_READ) {
            let mut pipe = redis::pipe();
            for id in ids {
                pipe.cmd("XRANGE").arg(&events).arg(id).arg(id);
            }
            let found: Vec<Vec<RawEntry>> = self.query_all("read entries", &pipe).await?;
            let decoded = |(id, fields): RawEntry| Some((id, Entry::decode(&fields).ok()?));
            entries.extend(found.into_iter().flatten().filter_map(decoded));
        }
        Ok(entries)
    }

    /// The entries that are not settled yet. All others are done or dead.
    pub async fn unsettled(
        &self,
        family: Family,
        entry_ids: &[String],
    ) -> Result<Vec<Unsettled>, QueueError> {
        let mut unsettled = Vec::new();
        for ids in entry_ids.chunks(UNSETTLED_STEP) {
            let mut script = scripts::UNSETTLED.prepare_invoke();
            script.key(self.keys.events(family)).key(self.keys.attempts(family)).arg(ids);
            let waiting: Vec<Waiting> = self.invoke("look for entries", &script).await?;
            unsettled.extend(waiting.into_iter().map(|(entry_id, attempts, error)| Unsettled {
                entry_id,
                failed_attempts: attempts.unwrap_or(0),
                last_error: error.map(|text| String::from_utf8_lossy(&text).into_owned()),
            }));
        }
        Ok(unsettled)
    }
}

/// The reason, with which a failed attempt's error begins.
fn reason(error: &[u8]) -> Option<Reason> {
    let name = error.split(|byte| *byte == b':').next()?;
    std::str::from_utf8(name).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_begins_with_its_reason() {
        assert_eq!(reason(b"unauthorized: could not read: 401"), Some(Reason::Unauthorized));
        for error in [&b""[..], b"tomorrow's reason: x", b"\xff: x"] {
            assert_eq!(reason(error), None);
        }
    }
}
