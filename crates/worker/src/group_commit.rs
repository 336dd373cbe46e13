//! Group commit: all events that are done at the same time are stored in one transaction. While one group is written,
//! the next one collects; a lone event is a group of one and waits for nothing.

use std::sync::Arc;

use error_text::chain;
use futures_util::future::join_all;
use store::{FinishedEvent, NewEvent, Store, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Events that wait for their group or are written, at most; further ones keep their concurrency slot.
const EVENTS_MAX: u32 = 256;
/// The same in bytes.
const BYTES_MAX: u32 = 32 << 20;
/// An event counts as this much at least, so that one limit is enough.
const EVENT_BYTES_MIN: u32 = BYTES_MAX / EVENTS_MAX;

/// The sending half. The loop ends when it is dropped.
pub(crate) struct GroupCommit {
    queue: mpsc::UnboundedSender<Member>,
    room: Arc<Semaphore>,
}

/// One event of a group.
enum Member {
    /// Its first attempt takes long: its row is written now.
    Begun(NewEvent),
    Finished(Box<FinishedEvent>, Waiter),
}

struct Waiter {
    written: oneshot::Sender<Result<(), StoreError>>,
    _room: OwnedSemaphorePermit,
}

/// Completes when the event's group is on disk.
pub(crate) struct Written(oneshot::Receiver<Result<(), StoreError>>);

impl GroupCommit {
    /// Needs a Tokio runtime.
    pub(crate) fn start(store: Store) -> Self {
        let (queue, members) = mpsc::unbounded_channel();
        tokio::spawn(commit_groups(store, members));
        Self { queue, room: Arc::new(Semaphore::new(BYTES_MAX as usize)) }
    }

    /// Adds the event's row with the next group, without waiting for it.
    pub(crate) fn begun(&self, event: NewEvent) {
        // The loop outlives every sender.
        self.queue.send(Member::Begun(event)).ok();
    }

    /// Waits for room, and adds the event to the next group.
    pub(crate) async fn add(&self, finished: FinishedEvent) -> Written {
        let room = Arc::clone(&self.room).acquire_many_owned(bytes(&finished)).await;
        let _room = room.expect("the semaphore is never closed");
        let (written, receiver) = oneshot::channel();
        self.queue.send(Member::Finished(Box::new(finished), Waiter { written, _room })).ok();
        Written(receiver)
    }
}

impl Written {
    pub(crate) async fn wait(self) -> Result<(), StoreError> {
        self.0.await.expect("the group was written without a panic")
    }
}

fn bytes(finished: &FinishedEvent) -> u32 {
    let raw = finished.response.as_ref().and_then(|response| response.raw.as_ref()).map_or(0, Vec::len);
    let bytes = u32::try_from(finished.event.body.len() + raw).unwrap_or(u32::MAX);
    bytes.clamp(EVENT_BYTES_MIN, BYTES_MAX)
}

async fn commit_groups(store: Store, mut members: mpsc::UnboundedReceiver<Member>) {
    while let Some(first) = members.recv().await {
        // Lets all deliveries that are ready add their events first.
        tokio::task::yield_now().await;
        let mut group = Group::default();
        group.add(first);
        while let Ok(next) = members.try_recv() {
            group.add(next);
        }
        // A panic costs this group only: its deliveries notice that no reply comes.
        tokio::spawn(group.commit(store.clone())).await.ok();
    }
}

#[derive(Default)]
struct Group {
    begun: Vec<NewEvent>,
    finished: Vec<FinishedEvent>,
    /// One for each finished event.
    waiters: Vec<Waiter>,
}

impl Group {
    fn add(&mut self, member: Member) {
        match member {
            Member::Begun(event) => self.begun.push(event),
            Member::Finished(finished, waiter) => {
                self.finished.push(*finished);
                self.waiters.push(waiter);
            }
        }
    }

    async fn commit(self, store: Store) {
        let Self { begun, finished, waiters } = self;
        let written = match store.save_finished(&begun, &finished).await {
            Ok(()) => finished.iter().map(|_| Ok(())).collect(),
            Err(error) if begun.is_empty() && finished.len() == 1 => vec![Err(error)],
            // One event must not hold up the others: a value that the database refuses, a deadlock.
            Err(error) => {
                tracing::debug!(
                    events = finished.len(),
                    error = chain(&error),
                    "could not store a group of events; storing each by itself"
                );
                each_alone(&store, &begun, &finished).await
            }
        };
        for (waiter, written) in waiters.into_iter().zip(written) {
            // Its delivery may have ended early.
            waiter.written.send(written).ok();
        }
    }
}

async fn each_alone(
    store: &Store,
    begun: &[NewEvent],
    finished: &[FinishedEvent],
) -> Vec<Result<(), StoreError>> {
    for event in begun {
        if let Err(error) = store.save_finished(std::slice::from_ref(event), &[]).await {
            tracing::warn!(
                webhook.id = event.webhook_id,
                error = chain(&error),
                "could not record that the event's first attempt has begun"
            );
        }
    }
    join_all(finished.iter().map(|finished| store.save_finished(&[], std::slice::from_ref(finished)))).await
}
