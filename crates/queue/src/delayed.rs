//! Entries in the queue, one by one: those that wait for their retry, how to end their wait, and whether some are still there.

use std::collections::HashMap;

use webhook::{Family, Reason};

use crate::admin::{QueueAdmin, unix_ms};
use crate::entry::{ENTRIES_PER_READ, Entry, RawEntry};
use crate::error::QueueError;
use crate::keys::FamilyKeys;
use crate::scripts;

/// Entries asked about, or made due, in one step.
const STEP: usize = 500;
/// Entries asked for in one step: each is read whole inside Redis.
const UNSETTLED_STEP: usize = 16;

/// As the script answers: the entry's id, failed attempts, last error.
type Waiting = (String, Option<u32>, Option<Vec<u8>>);

/// An entry whose time has not come yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delayed {
    pub entry_id: String,
    /// When it is due, in unix milliseconds of Redis's clock.
    pub due_ms: i64,
    pub failed_attempts: u32,
    /// Why its last attempt failed. `None` when it was put back before any failed, or for a reason that only a newer
    /// version knows.
    pub reason: Option<Reason>,
}

/// An entry that is waiting, running or delayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    pub entry_id: String,
    pub failed_attempts: u32,
    /// Reason and text of the last attempt that failed.
    pub last_error: Option<String>,
}

impl QueueAdmin {
    /// A family's entries that wait for their time to come, the next one first.
    pub async fn delayed(&self, family: Family) -> Result<Vec<Delayed>, QueueError> {
        const OPERATION: &str = "read delayed entries";
        let keys = FamilyKeys::new(&self.keys, family);
        let now_ms = unix_ms(self.query(OPERATION, &redis::cmd("TIME")).await?);
        // A scan may give one twice.
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

    /// Ends the wait of entries: a worker tries them within seconds, unless their family is paused. Attempts stay as
    /// they are. Those that still waited.
    pub async fn make_due(&self, family: Family, entry_ids: &[String]) -> Result<Vec<String>, QueueError> {
        let mut due = Vec::new();
        for ids in entry_ids.chunks(STEP) {
            let mut script = scripts::MAKE_DUE.prepare_invoke();
            script.key(self.keys.delayed(family)).arg(ids);
            due.extend(self.invoke::<Vec<String>>("make entries due", &script).await?);
        }
        Ok(due)
    }

    /// What entries hold that are in the queue, whole. Those that cannot be decoded are left out.
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

    /// Those of the entries that are not settled yet. The others are done or given up.
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

/// The reason that a failed attempt's error begins with.
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
