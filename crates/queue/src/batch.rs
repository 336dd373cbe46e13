//! Events that go to Redis together, in one call of the enqueue script, and the answer each of them gets.

use std::io::IoSlice;

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

/// Events by the words of their common command. A run of events is those, one after the other, that differ only in id,
/// times, body and the values of their optional fields: what they have in common is sent once.
#[derive(Default)]
pub(crate) struct Batch {
    run_keys: Words,
    run_lengths: Vec<u64>,
    run_words: Words,
    keys: Words,
    words: Words,
    askers: Vec<(oneshot::Sender<Answer>, Place)>,
}

impl Batch {
    pub(crate) fn push(&mut self, mark: &Mark<'_>, events: &str, entry: EntryRef<'_>) {
        let (mut secs, mut more) = (itoa::Buffer::new(), itoa::Buffer::new());
        let in_common = [
            secs.format(mark.lasts_secs).as_bytes(),
            entry.project.as_bytes(),
            entry.event_type.as_bytes(),
            more.format(2 * entry.optional().count()).as_bytes(),
        ];
        if !self.run_keys.end_with(&[events.as_bytes()]) || !self.run_words.end_with(&in_common) {
            self.run_keys.push(events.as_bytes());
            self.run_lengths.push(0);
            in_common.iter().for_each(|word| self.run_words.push(word));
        }
        *self.run_lengths.last_mut().expect("a run has begun") += 1;
        self.keys.push(mark.key.as_bytes());
        entry.write(|word| self.words.push(word));
    }

    /// Who hears the answer to the event pushed last.
    pub(crate) fn push_asker(&mut self, asker: oneshot::Sender<Answer>, place: Place) {
        self.askers.push((asker, place));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.askers.is_empty()
    }

    /// How many events.
    pub(crate) fn len(&self) -> usize {
        self.askers.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= EVENTS_MAX || self.words.bytes.len() >= BYTES_MAX
    }

    /// How much is sent, about.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.bytes.len() + self.words.bytes.len()
    }

    /// The call of the script, packed as Redis reads it.
    pub(crate) fn packed(&self, stream_length_max: u64) -> Packed<'_> {
        let numbers = self.numbers(stream_length_max);
        let parts = [&self.run_keys, &self.keys, &self.run_words, &self.words];
        let words = 3 + numbers.clone().count() + parts.iter().map(|part| part.len()).sum::<usize>();
        let mut head = Vec::with_capacity(96 + self.run_keys.bytes.len());
        head.push(b'*');
        head.extend_from_slice(itoa::Buffer::new().format(words).as_bytes());
        head.extend_from_slice(b"\r\n");
        pack(&mut head, b"EVALSHA");
        pack(&mut head, ENQUEUE.get_hash().as_bytes());
        pack_number(&mut head, self.keys_count());
        head.extend_from_slice(&self.run_keys.bytes);
        let mut common = Vec::with_capacity(32 + 16 * self.run_lengths.len() + self.run_words.bytes.len());
        numbers.for_each(|number| pack_number(&mut common, number));
        common.extend_from_slice(&self.run_words.bytes);
        Packed { head, keys: &self.keys.bytes, common, words: &self.words.bytes }
    }

    /// The same for redis-rs.
    pub(crate) fn command(&self, stream_length_max: u64) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(ENQUEUE.get_hash()).arg(self.keys_count()).arg(&self.run_keys).arg(&self.keys);
        for number in self.numbers(stream_length_max) {
            command.arg(number);
        }
        command.arg(&self.run_words).arg(&self.words);
        command
    }

    fn keys_count(&self) -> u64 {
        (self.run_keys.len() + self.keys.len()) as u64
    }

    /// The limit; unless it is one event alone, how many runs there are, and how many events each has.
    fn numbers(&self, stream_length_max: u64) -> impl Iterator<Item = u64> + Clone {
        let many = self.keys.len() > 1;
        let runs = many.then_some(self.run_lengths.len() as u64);
        let lengths = if many { self.run_lengths.as_slice() } else { &[] };
        [stream_length_max].into_iter().chain(runs).chain(lengths.iter().copied())
    }

    /// Tells each asker what became of its event.
    pub(crate) fn answer(&mut self, reply: Result<Value, RedisError>) {
        match reply {
            // One alone gets its answer by itself.
            Ok(value) if self.len() == 1 => self.hand_out([value]),
            Ok(Value::Array(values)) if values.len() == self.len() => self.hand_out(values),
            Ok(other) => self.refuse(&unexpected(other)),
            Err(error) => self.refuse(&error),
        }
    }

    fn hand_out(&mut self, values: impl IntoIterator<Item = Value>) {
        for ((asker, _place), value) in self.askers.drain(..).zip(values) {
            // Nobody listens to a request that was cancelled.
            asker.send(read(value)).ok();
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
        self.run_lengths.clear();
        for words in [&mut self.run_keys, &mut self.run_words, &mut self.keys, &mut self.words] {
            words.clear();
        }
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

/// A command as Redis reads it, in parts: what may be large is not copied again.
pub(crate) struct Packed<'b> {
    head: Vec<u8>,
    keys: &'b [u8],
    common: Vec<u8>,
    words: &'b [u8],
}

impl Packed<'_> {
    pub(crate) fn parts(&self) -> [IoSlice<'_>; 4] {
        [&self.head, self.keys, &self.common, self.words].map(IoSlice::new)
    }
}

/// Words one behind the other in one piece of memory, each as Redis reads it: `$3\r\nSET\r\n`.
#[derive(Default)]
struct Words {
    bytes: Vec<u8>,
    /// Where each begins and ends.
    places: Vec<(usize, usize)>,
}

impl Words {
    /// What is kept of a batch's memory for the next one: what it has grown to when it is full of middling bodies. With
    /// less, each batch of bodies of 64 KB asks for pages and gives them back (docs/benchmarks.md).
    const KEPT_BYTES_MAX: usize = 2 * BYTES_MAX;

    fn push(&mut self, word: &[u8]) {
        pack(&mut self.bytes, word);
        let end = self.bytes.len() - 2;
        self.places.push((end - word.len(), end));
    }

    fn len(&self) -> usize {
        self.places.len()
    }

    fn end_with(&self, words: &[&[u8]]) -> bool {
        let from = self.len().checked_sub(words.len());
        let last = from.map(|from| self.places[from..].iter().map(|&(start, end)| &self.bytes[start..end]));
        last.is_some_and(|last| last.eq(words.iter().copied()))
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
        self.bytes.shrink_to(Self::KEPT_BYTES_MAX);
    }
}

fn pack(bytes: &mut Vec<u8>, word: &[u8]) {
    let mut length = itoa::Buffer::new();
    let length = length.format(word.len());
    bytes.reserve(length.len() + word.len() + 5);
    bytes.push(b'$');
    bytes.extend_from_slice(length.as_bytes());
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(word);
    bytes.extend_from_slice(b"\r\n");
}

fn pack_number(bytes: &mut Vec<u8>, number: u64) {
    pack(bytes, itoa::Buffer::new().format(number).as_bytes());
}

impl ToRedisArgs for Words {
    fn write_redis_args<W: RedisWrite + ?Sized>(&self, out: &mut W) {
        for &(start, end) in &self.places {
            out.write_arg(&self.bytes[start..end]);
        }
    }

    fn num_of_args(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(webhook_id: &str) -> EntryRef<'_> {
        EntryRef {
            webhook_id,
            project: "default",
            event_type: "batch.completed",
            timestamp_secs: 1,
            received_ms: 2,
            traceparent: None,
            replay_of: None,
            body: b"{}",
        }
    }

    #[test]
    fn what_is_packed_here_is_what_redis_rs_packs() {
        let mut batch = Batch::default();
        for (id, event_type, body) in
            [("wh_1", "a", &b"{}"[..]), ("wh_2", "a", b"\r\n$5\r\n\0"), ("wh_3", "b", b"")]
        {
            let entry = EntryRef { event_type, body, ..entry(id) };
            batch.push(&Mark { key: id, lasts_secs: 604_800 }, "events", entry);
            let packed = batch.packed(1_000_000);
            assert_eq!(
                packed.parts().map(|part| part.to_vec()).concat(),
                batch.command(1_000_000).get_packed_command()
            );
        }
    }

    #[test]
    fn what_events_have_in_common_is_sent_once_for_those_that_have_all_of_it_in_common() {
        let mut batch = Batch::default();
        let mark = |lasts_secs| Mark { key: "seen", lasts_secs };
        let plain = entry("wh");
        let traced = EntryRef { traceparent: Some("00-1"), ..plain };
        let events = [
            (mark(1), "events", plain),
            (mark(1), "events", EntryRef { timestamp_secs: 3, received_ms: 4, body: b"[]", ..entry("wh_2") }),
            (mark(1), "events", traced),
            (mark(1), "events", EntryRef { traceparent: Some("00-2"), ..traced }),
            // Of as many words, and the names are each event's own.
            (mark(1), "events", EntryRef { replay_of: Some("wh_0"), ..plain }),
            (mark(1), "events", EntryRef { replay_of: Some("wh_0"), ..traced }),
            (mark(1), "events", plain),
            (mark(2), "events", plain),
            (mark(2), "others", plain),
            (mark(2), "others", EntryRef { project: "research", ..plain }),
            (mark(2), "others", EntryRef { event_type: "batch.failed", ..plain }),
        ];
        for (mark, key, entry) in events {
            batch.push(&mark, key, entry);
        }
        assert_eq!(batch.run_lengths, [2, 3, 1, 1, 1, 1, 1, 1]);
    }
}
