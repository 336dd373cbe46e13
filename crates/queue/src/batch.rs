//! Events that go to Redis together, in one call of the enqueue script, and the answer each of them gets.

use redis::{Cmd, RedisError, RedisWrite, ToRedisArgs, Value};
use tokio::sync::oneshot;

use crate::entry::EntryRef;
use crate::error::EnqueueError;
use crate::lane::Place;
use crate::producer::Enqueued;
use crate::scripts::ENQUEUE;

/// Redis does nothing else while it takes a batch in: about ten microseconds an event.
const EVENTS_MAX: usize = 128;
/// A batch that has reached it is sent.
const BYTES_MAX: usize = 256 * 1024;

/// What becomes of one event.
pub(crate) type Answer = Result<Enqueued, EnqueueError>;

/// What keeps an event from being taken in twice.
pub(crate) struct Mark<'a> {
    pub(crate) key: &'a str,
    pub(crate) lasts_secs: u64,
}

/// Events by the words of their common command.
#[derive(Default)]
pub(crate) struct Batch {
    keys: Words,
    arguments: Words,
    askers: Vec<(oneshot::Sender<Answer>, Place)>,
}

impl Batch {
    pub(crate) fn push(&mut self, mark: &Mark<'_>, events: &str, entry: EntryRef<'_>) {
        self.keys.push(mark.key.as_bytes());
        self.keys.push(events.as_bytes());
        self.arguments.push_number(mark.lasts_secs);
        let count = self.arguments.reserve_number();
        let fields = entry.write(|name, value| {
            self.arguments.push(name.as_bytes());
            self.arguments.push(value);
        });
        self.arguments.fill_number(count, 2 * fields);
    }

    /// Who hears the answer to the event pushed last.
    pub(crate) fn push_asker(&mut self, asker: oneshot::Sender<Answer>, place: Place) {
        self.askers.push((asker, place));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.askers.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.askers.len() >= EVENTS_MAX || self.arguments.bytes.len() >= BYTES_MAX
    }

    /// The call of the script.
    pub(crate) fn command(&self, stream_length_max: u64) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(ENQUEUE.get_hash()).arg(self.keys.ends.len()).arg(&self.keys);
        command.arg(stream_length_max).arg(&self.arguments);
        command
    }

    /// Tells each asker what became of its event.
    pub(crate) fn answer(&mut self, reply: Result<Value, RedisError>) {
        match reply {
            Ok(Value::Array(values)) if values.len() == self.askers.len() => {
                for ((asker, _place), value) in self.askers.drain(..).zip(values) {
                    // Nobody listens to a request that was cancelled.
                    asker.send(read(value)).ok();
                }
            }
            Ok(other) => self.refuse(&unexpected(other)),
            Err(error) => self.refuse(&error),
        }
    }

    fn refuse(&mut self, error: &RedisError) {
        for (asker, _place) in self.askers.drain(..) {
            asker.send(Err(error.clone().into())).ok();
        }
    }

    /// Empties it, and keeps its memory unless one large event made it large.
    pub(crate) fn clear(&mut self) {
        self.askers.clear();
        self.keys.clear();
        self.arguments.clear();
    }
}

fn read(value: Value) -> Answer {
    match value {
        Value::BulkString(id) => match String::from_utf8(id) {
            Ok(entry_id) => Ok(Enqueued::Added { entry_id }),
            Err(error) => Err(unexpected(Value::BulkString(error.into_bytes())).into()),
        },
        Value::Nil => Ok(Enqueued::Duplicate),
        other => Err(unexpected(other).into()),
    }
}

/// The error in the value, or that it is none.
fn unexpected(value: Value) -> RedisError {
    match value.extract_error() {
        Err(error) => error,
        Ok(_) => RedisError::from((redis::ErrorKind::UnexpectedReturnType, "not an answer to an enqueue")),
    }
}

/// Words one behind the other in one piece of memory.
#[derive(Default)]
struct Words {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Room for one number, filled with it later.
struct Number(usize);

impl Words {
    /// What is kept of a batch's memory for the next one.
    const KEPT_BYTES_MAX: usize = 64 * 1024;

    fn push(&mut self, word: &[u8]) {
        self.bytes.extend_from_slice(word);
        self.ends.push(self.bytes.len());
    }

    fn push_number(&mut self, number: u64) {
        self.push(itoa::Buffer::new().format(number).as_bytes());
    }

    /// Two digits: there are nine fields, and each is two words.
    fn reserve_number(&mut self) -> Number {
        let at = self.bytes.len();
        self.push(b"00");
        Number(at)
    }

    fn fill_number(&mut self, at: Number, number: usize) {
        let digit = |number: usize| b'0' + u8::try_from(number % 10).expect("a digit fits");
        self.bytes[at.0..at.0 + 2].copy_from_slice(&[digit(number / 10), digit(number)]);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.bytes.shrink_to(Self::KEPT_BYTES_MAX);
    }
}

impl ToRedisArgs for Words {
    fn write_redis_args<W: RedisWrite + ?Sized>(&self, out: &mut W) {
        let mut start = 0;
        for &end in &self.ends {
            out.write_arg(&self.bytes[start..end]);
            start = end;
        }
    }

    fn num_of_args(&self) -> usize {
        self.ends.len()
    }
}
