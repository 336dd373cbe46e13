//! The stream of changes: what became of each object, or of an event without one. The scripts that ack and dead-letter
//! write it; a follower waits for changes without polling the database. It says what to look at: the row has the rest.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use redis::{RedisError, RedisResult, Value};
use webhook::{Family, FinalState, MaybeKnown};

use crate::config::QueueConfig;
use crate::connection::{self, SharedConnection};
use crate::entry::{Fields, RawEntry};
use crate::error::QueueError;
use crate::keys::Keys;

/// Approximate number of changes kept; the newest stay.
pub(crate) const CHANGES_MAX: usize = 100_000;
/// Changes returned by one read.
const CHANGES_PER_READ: usize = 1000;
/// A read that exceeds its wait by this much is abandoned, with its connection.
const READ_MARGIN: Duration = Duration::from_secs(5);

/// The position of a change in the stream, `<milliseconds>-<sequence>`. The default is before all changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ChangeId(u64, u64);

/// A text that is not the id of a change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a change: write MILLISECONDS-SEQUENCE")]
pub struct InvalidChangeId;

/// One announcement. It is repeated when a worker dies between the commit and the ack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub id: ChangeId,
    /// The family of the event.
    pub kind: MaybeKnown<Family>,
    /// The object's id; the webhook's if the event names no object; the entry's if it could not be decoded.
    pub object_id: String,
    pub state: MaybeKnown<FinalState>,
}

/// What a follower has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// In the order of the stream; empty when nothing changed meanwhile.
    Changes(Vec<Change>),
    /// Changes since the last read may be missing: they were trimmed, or Redis lost the stream. The follower continues
    /// with what comes now.
    Gap,
}

/// Follows the changes from a position on, over its own connection.
pub struct ChangeFollower {
    connection: SharedConnection,
    key: String,
    after: ChangeId,
}

/// The stream at the time of a read.
#[derive(Debug, Clone, Copy)]
struct StreamState {
    newest: ChangeId,
    /// Changes that were ever added.
    added: u64,
    length: u64,
}

/// The replies of `XREAD`, of `XRANGE` with the position of the follower, and of `XINFO`.
type Reply = (
    RedisResult<Option<Vec<(String, Vec<RawEntry>)>>>,
    RedisResult<Vec<RawEntry>>,
    RedisResult<HashMap<String, Value>>,
);

impl ChangeFollower {
    /// Follows what changes from now on.
    pub async fn from_now(config: &QueueConfig) -> Result<Self, QueueError> {
        let mut follower = Self::after(config, ChangeId::default())?;
        let mut commands = redis::pipe();
        commands.ignore_errors().cmd("XINFO").arg("STREAM").arg(&follower.key);
        let read = follower.connection.query_blocking(&commands, READ_MARGIN).await;
        let state = read.and_then(|(info,): (RedisResult<HashMap<String, Value>>,)| stream_state(info));
        let state = state.map_err(QueueError::while_doing("read the changes"))?;
        follower.after = state.map_or_else(ChangeId::default, |state| state.newest);
        Ok(follower)
    }

    /// Follows from a position on. Connects with the first read.
    pub fn after(config: &QueueConfig, after: ChangeId) -> Result<Self, QueueError> {
        let connection = SharedConnection::for_blocking(connection::client(config)?);
        Ok(Self { connection, key: Keys::new(&config.key_prefix).changes(), after })
    }

    /// The position: that of the last change read.
    pub fn position(&self) -> ChangeId {
        self.after
    }

    /// Reads the next changes, and waits at most this long for the first one. A cancelled or failed call loses nothing:
    /// the next one reads the same.
    pub async fn next(&mut self, wait: Duration) -> Result<Followed, QueueError> {
        let after = self.after.to_string();
        let mut commands = redis::pipe();
        commands.ignore_errors().cmd("XREAD").arg("COUNT").arg(CHANGES_PER_READ);
        // BLOCK 0 would wait forever.
        commands.arg("BLOCK").arg(wait.as_millis().max(1) as u64);
        commands.arg("STREAMS").arg(&self.key).arg(&after);
        // After the read: what is still there now was there then.
        commands.cmd("XRANGE").arg(&self.key).arg(&after).arg(&after);
        commands.cmd("XINFO").arg("STREAM").arg(&self.key);
        let read = self.connection.query_blocking(&commands, wait + READ_MARGIN).await;
        let read =
            read.and_then(|(read, last, info): Reply| Ok((read?, !last?.is_empty(), stream_state(info)?)));
        let (streams, is_there, state) = read.map_err(QueueError::while_doing("read the changes"))?;
        if is_gap(self.after, is_there, state) {
            self.after = state.map_or_else(ChangeId::default, |state| state.newest);
            return Ok(Followed::Gap);
        }
        let entries = streams.into_iter().flatten().flat_map(|(_, entries)| entries);
        let changes: Vec<Change> = entries.filter_map(|entry| Change::decode(&entry)).collect();
        if let Some(last) = changes.last() {
            self.after = last.id;
        }
        Ok(Followed::Changes(changes))
    }
}

impl Change {
    /// Fields that were added manually are ignored; missing ones are empty.
    fn decode((id, flat): &RawEntry) -> Option<Self> {
        let fields = Fields(flat);
        let text = |name| fields.optional_text(name).ok().flatten().unwrap_or_default();
        let Ok(kind) = text("kind").parse();
        let Ok(state) = text("state").parse();
        Some(Self { id: id.parse().ok()?, kind, object_id: text("id"), state })
    }
}

/// Whether changes after this position may have been trimmed or lost. `is_there`: the change at the position still
/// exists.
fn is_gap(after: ChangeId, is_there: bool, state: Option<StreamState>) -> bool {
    match state {
        None => after != ChangeId::default(),
        Some(state) if after == ChangeId::default() => state.added > state.length,
        // Redis lost the stream, and its clock was set back.
        Some(state) if after > state.newest => true,
        Some(state) => after != state.newest && !is_there,
    }
}

/// `None` when there is no stream yet.
fn stream_state(info: RedisResult<HashMap<String, Value>>) -> RedisResult<Option<StreamState>> {
    let info = match info {
        Ok(info) => info,
        Err(error) if error.detail().is_some_and(|detail| detail.contains("no such key")) => return Ok(None),
        Err(error) => return Err(error),
    };
    let number = |name| info.get(name).cloned().map(redis::from_redis_value::<u64>).transpose();
    let newest = info.get("last-generated-id").cloned().map(redis::from_redis_value::<String>).transpose()?;
    let newest = newest.and_then(|id| id.parse().ok());
    match (newest, number("entries-added")?, number("length")?) {
        (Some(newest), Some(added), Some(length)) => Ok(Some(StreamState { newest, added, length })),
        _ => Err(RedisError::from((redis::ErrorKind::UnexpectedReturnType, "unexpected reply to XINFO"))),
    }
}

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

impl FromStr for ChangeId {
    type Err = InvalidChangeId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (millis, sequence) = text.split_once('-').ok_or(InvalidChangeId)?;
        let number = |text: &str| text.parse().map_err(|_| InvalidChangeId);
        Ok(Self(number(millis)?, number(sequence)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_as_numbers() {
        let id = |text: &str| text.parse::<ChangeId>().unwrap();
        assert!(id("9-10") > id("9-9") && id("10-0") > id("9-10"));
        assert_eq!(id("1795305600123-7").to_string(), "1795305600123-7");
        for text in ["", "1", "1-", "-1", "a-1", "1-2-3", "$"] {
            assert_eq!(text.parse::<ChangeId>(), Err(InvalidChangeId), "{text}");
        }
    }

    #[test]
    fn a_gap_is_a_position_that_is_no_longer_in_the_stream() {
        let state = |newest, added, length| Some(StreamState { newest: ChangeId(newest, 0), added, length });
        let (start, five) = (ChangeId::default(), ChangeId(5, 0));
        for (after, is_there, state, is_a_gap) in [
            (start, false, None, false),
            (start, false, state(9, 3, 3), false),
            (start, false, state(9, 300, 100), true),
            (five, false, None, true),
            (five, true, state(9, 300, 100), false),
            (five, false, state(9, 300, 100), true),
            // Its entry was deleted, but nothing came after it.
            (five, false, state(5, 300, 0), false),
            (five, false, state(4, 1, 1), true),
        ] {
            assert_eq!(is_gap(after, is_there, state), is_a_gap, "{after} {is_there} {state:?}");
        }
    }
}
