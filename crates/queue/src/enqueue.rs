//! The calls of the scripts that enqueue, and what they answer.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{ErrorKind, RedisError, Script, ScriptInvocation};

use crate::dedupe::DedupeRecord;
use crate::error::EnqueueError;

static ENQUEUE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/enqueue.lua")));
static ENQUEUE_AGAIN: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/enqueue_again.lua")));

/// Within one command of an operator, a call is repeated after seconds if at all.
const REPLAYED_FOR: Duration = Duration::from_secs(600);

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    Added {
        entry_id: String,
    },
    /// This `webhook-id` was enqueued within the dedupe window; with [`crate::Producer::enqueue_again`], by the same run.
    Duplicate,
}

pub(crate) type EnqueueResult = Result<Enqueued, EnqueueError>;

/// An answer as the scripts give it: the outcome, and the entry id or the error.
pub(crate) type Reply = (String, String);

/// What all events of a producer have in common.
#[derive(Debug, Clone)]
pub(crate) struct EnqueueLimits {
    pub(crate) stream_length_max: u64,
    /// The index of dedupe generations, and the prefix of their record sets.
    pub(crate) seen_key: String,
    pub(crate) generation_secs: u64,
}

/// One event's part in a call.
pub(crate) struct EventArgs {
    pub(crate) events_key: String,
    pub(crate) record: DedupeRecord,
    /// As [`crate::entry::EntryRef::fields`] has them.
    pub(crate) fields: Vec<Vec<u8>>,
}

impl EventArgs {
    /// About how much is sent for it.
    pub(crate) fn bytes(&self) -> usize {
        self.fields.iter().map(Vec::len).sum()
    }
}

/// Enqueues these events; there is one reply for each.
pub(crate) fn enqueue<'e>(
    limits: &EnqueueLimits,
    events: impl Iterator<Item = &'e EventArgs>,
) -> ScriptInvocation<'static> {
    let mut script = ENQUEUE.prepare_invoke();
    script.key(&limits.seen_key).arg(limits.stream_length_max).arg(limits.generation_secs);
    for EventArgs { events_key, record, fields } in events {
        script.key(events_key).arg(record.shard).arg(record.member).arg(fields.len()).arg(fields);
    }
    script
}

/// Enqueues a stored event once more.
pub(crate) fn enqueue_again(
    stream_length_max: u64,
    events_key: &str,
    replayed_key: &str,
    fields: &[Vec<u8>],
) -> ScriptInvocation<'static> {
    let mut script = ENQUEUE_AGAIN.prepare_invoke();
    script.key(events_key).key(replayed_key);
    script.arg(stream_length_max).arg(REPLAYED_FOR.as_secs()).arg(fields);
    script
}

pub(crate) fn read((outcome, detail): Reply) -> EnqueueResult {
    match outcome.as_str() {
        "added" => Ok(Enqueued::Added { entry_id: detail }),
        "duplicate" => Ok(Enqueued::Duplicate),
        // `CODE the words`
        "refused" => {
            let (code, words) = detail.split_once(' ').unwrap_or((&detail, ""));
            Err(redis::make_extension_error(code.to_owned(), Some(words.to_owned())).into())
        }
        _ => Err(unexpected()),
    }
}

pub(crate) fn unexpected() -> EnqueueError {
    RedisError::from((ErrorKind::UnexpectedReturnType, "not an answer to an enqueue")).into()
}
