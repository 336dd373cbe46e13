//! The way from one thread to Redis: whoever wants an event taken in leaves it here, and what all that was ready to run
//! has left is sent at once. Where several wait, what arrives meanwhile goes along, and while enough is under way the next
//! batch collects: batches grow with the load, and an idle Landfall waits for nobody.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use redis::Client;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::batch::{Answer, Batch, Mark};
use crate::entry::EntryRef;
use crate::error::EnqueueError;
use crate::link::{self, Link};

/// Redis reads so much of a connection (`PROTO_IOBUF_LEN`) before it turns to the next, and with fsync on every write
/// commits what it read of all of them together: what goes beyond goes over another one (docs/benchmarks.md).
const READ_BYTES: usize = 16 * 1024;
/// Opened when they are needed.
const LINKS: usize = 4;
/// Batches that may be under way before the next one waits for the end of one of them. Fewer and larger ones cost Redis
/// and us less; with one alone, little is under way while Redis waits for its disk (docs/benchmarks.md).
const TURNS: usize = 4;
/// Nobody waits longer for a turn: a Redis that does not answer shall not cost two time-outs.
const TURN_WAIT_MAX: Duration = Duration::from_millis(50);

/// Counts the events that wait for Redis, on whatever way.
#[derive(Clone)]
pub(crate) struct Places {
    taken: Arc<AtomicUsize>,
    max: usize,
}

/// One event's part of what may wait.
pub(crate) struct Place(Arc<AtomicUsize>);

impl Places {
    pub(crate) fn new(max: usize) -> Self {
        Self { taken: Arc::default(), max }
    }

    fn take(&self) -> Option<Place> {
        let place = Place(self.taken.clone());
        (self.taken.fetch_add(1, Ordering::Relaxed) < self.max).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) struct Lane {
    links: [Link; LINKS],
    stream_length_max: u64,
    places: Places,
    turns: Semaphore,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    batch: Batch,
    /// Empty ones, for their memory: as many as are under way.
    spare: Vec<Batch>,
    /// Somebody will come for what waits.
    called: bool,
}

impl Lane {
    pub(crate) fn new(client: &Client, stream_length_max: u64, places: Places) -> Self {
        let links = std::array::from_fn(|_| Link::new(client.clone()));
        let turns = Semaphore::new(TURNS);
        Self { links, stream_length_max, places, turns, waiting: Mutex::default() }
    }

    /// Takes an event in, together with all others that wait.
    pub(crate) async fn enqueue(
        self: &Arc<Self>,
        mark: Mark<'_>,
        events: &str,
        entry: EntryRef<'_>,
    ) -> Answer {
        let place = self.places.take().ok_or(EnqueueError::Overloaded)?;
        let (asker, answer) = oneshot::channel();
        self.add(&mark, events, entry, (asker, place));
        // The other end is dropped without a word only when the runtime ends.
        answer.await.unwrap_or_else(|_| Err(closed().into()))
    }

    fn add(
        self: &Arc<Self>,
        mark: &Mark<'_>,
        events: &str,
        entry: EntryRef<'_>,
        asker: (oneshot::Sender<Answer>, Place),
    ) {
        let mut waiting = self.waiting();
        waiting.batch.push(mark, events, entry);
        waiting.batch.push_asker(asker.0, asker.1);
        if waiting.batch.is_full() {
            let batch = waiting.take();
            tokio::spawn(self.clone().send(batch));
        } else if !waiting.called {
            waiting.called = true;
            // Comes when all that is ready to run now has run, and so has left its events here.
            tokio::spawn(self.clone().collect());
        }
    }

    async fn collect(self: Arc<Self>) {
        let _turn = timeout(TURN_WAIT_MAX, self.turns.acquire()).await;
        if self.waiting().batch.len() > 1 {
            // Where there are two, more have come by now and only have to be read: they go along (docs/benchmarks.md).
            yield_now().await;
        }
        let batch = {
            let mut waiting = self.waiting();
            waiting.called = false;
            if waiting.batch.is_empty() {
                return;
            }
            waiting.take()
        };
        self.clone().send(batch).await;
    }

    async fn send(self: Arc<Self>, mut batch: Batch) {
        let sent = Instant::now();
        let reply = self.link().enqueue(&batch, self.stream_length_max).await;
        if reply.as_ref().is_err_and(link::is_lost) {
            // The others lead to the same peer: what happened here has happened there, seen or not.
            self.links.iter().for_each(|link| link.leave_if_older(sent));
        }
        batch.answer(reply);
        batch.clear();
        self.waiting().give_back(batch);
    }

    /// The first that Redis would read to the end of at once, or else the one with the least under way.
    fn link(&self) -> &Link {
        let mut links = self.links.iter();
        let emptiest = || self.links.iter().min_by_key(|link| link.bytes_under_way());
        links.find(|link| link.bytes_under_way() < READ_BYTES).or_else(emptiest).expect("there are links")
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nothing panics while it holds the lock")
    }
}

impl Waiting {
    fn take(&mut self) -> Batch {
        let empty = self.spare.pop().unwrap_or_default();
        std::mem::replace(&mut self.batch, empty)
    }

    fn give_back(&mut self, empty: Batch) {
        if self.spare.len() < TURNS {
            self.spare.push(empty);
        }
    }
}

fn closed() -> redis::RedisError {
    redis::RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe))
}
