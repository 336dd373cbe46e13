//! The calls of the enqueue scripts, and their replies.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{ErrorKind, RedisError, Script, ScriptInvocation};

use crate::dedupe::DedupeRecord;
use crate::error::EnqueueError;

static ENQUEUE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/enqueue.lua")));
static ENQUEUE_AGAIN: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/enqueue_again.lua")));

/// Within one operator command, a call is repeated within seconds, if at all.
const REPLAYED_FOR: Duration = Duration::from_secs(600);

/// The result of enqueuing an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    Added {
        entry_id: String,
    },
    /// This `webhook-id` was enqueued within the dedupe window; with [`crate::Producer::enqueue_again`], in the same
    /// run.
    Duplicate,
}

pub(crate) type EnqueueResult = Result<Enqueued, EnqueueError>;

/// A reply of the scripts: the outcome, and the entry id or the error.
pub(crate) type Reply = (String, String);

/// The limits shared by all events of a producer.
#[derive(Debug, Clone)]
pub(crate) struct EnqueueLimits {
    pub(crate) stream_length_max: u64,
    /// The key of the index of dedupe generations, which is also the prefix of their record sets.
    pub(crate) seen_key: String,
    pub(crate) generation_secs: u64,
}

/// The arguments for one event.
pub(crate) struct EventArgs {
    pub(crate) events_key: String,
    pub(crate) record: DedupeRecord,
    /// See [`crate::entry::EntryRef::fields`].
    pub(crate) fields: Vec<Vec<u8>>,
}

impl EventArgs {
    /// The approximate size of its arguments.
    pub(crate) fn bytes(&self) -> usize {
        self.fields.iter().map(Vec::len).sum()
    }
}

/// Enqueues these events; the reply has one element per event.
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
        // `CODE message`
        "refused" => {
            let (code, message) = detail.split_once(' ').unwrap_or((&detail, ""));
            Err(redis::make_extension_error(code.to_owned(), Some(message.to_owned())).into())
        }
        _ => Err(unexpected()),
    }
}

pub(crate) fn unexpected() -> EnqueueError {
    RedisError::from((ErrorKind::UnexpectedReturnType, "unexpected reply to enqueue")).into()
}
