//! Collects the events of one thread and sends them in one call of the enqueue script. Batches grow with the load:
//! while enough batches are in flight, the next one collects; a single event is a batch of one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use crate::connection::{SharedConnection, closed, is_dropped};
use crate::enqueue::{self, EnqueueLimits, EnqueueResult, EventArgs, Reply};
use crate::error::EnqueueError;

/// Redis is blocked while it runs a batch: about ten microseconds per event.
const BATCH_EVENTS_MAX: usize = 128;
/// A batch of this size is sent.
const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Fewer and larger batches cost less CPU; with only one in flight, throughput drops while Redis waits for its disk.
const MAX_IN_FLIGHT_BATCHES: usize = 4;
/// Longest wait for a permit: an unresponsive Redis must not cost two timeouts.
const PERMIT_WAIT_MAX: Duration = Duration::from_millis(50);

/// The sending half. The batcher stops when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Batcher {
    events: mpsc::UnboundedSender<Waiter>,
    event_permits: Arc<Semaphore>,
}

/// An event, and the sender for its result.
struct Waiter {
    event: EventArgs,
    reply: oneshot::Sender<EnqueueResult>,
    arrived: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Batcher {
    /// Needs a Tokio runtime. `event_permits` limits the events that wait for Redis, across all batchers.
    pub(crate) fn start(
        connection: SharedConnection,
        limits: EnqueueLimits,
        event_permits: Arc<Semaphore>,
    ) -> Self {
        let (events, received) = mpsc::unbounded_channel();
        tokio::spawn(collect(received, connection, Arc::new(limits)));
        Self { events, event_permits }
    }

    /// Enqueues an event, in one batch with all others that wait.
    pub(crate) async fn enqueue(&self, event: EventArgs) -> EnqueueResult {
        let permit = self.event_permits.clone().try_acquire_owned();
        let _permit = permit.map_err(|_none_left| EnqueueError::Overloaded)?;
        let (reply, result) = oneshot::channel();
        let waiter = Waiter { event, reply, arrived: Instant::now(), _permit };
        // The receiving halves are only dropped when their runtime ends.
        self.events.send(waiter).map_err(|_stopped| closed())?;
        result.await.unwrap_or_else(|_stopped| Err(closed().into()))
    }
}

async fn collect(
    mut events: mpsc::UnboundedReceiver<Waiter>,
    connection: SharedConnection,
    limits: Arc<EnqueueLimits>,
) {
    let in_flight = Arc::new(Semaphore::new(MAX_IN_FLIGHT_BATCHES));
    while let Some(first) = events.recv().await {
        let permit = timeout_at(first.arrived + PERMIT_WAIT_MAX, in_flight.clone().acquire_owned()).await;
        // Lets all requests that are ready to run add their events first.
        yield_now().await;
        let mut bytes = first.event.bytes();
        let mut batch = vec![first];
        while batch.len() < BATCH_EVENTS_MAX
            && bytes < BATCH_BYTES_MAX
            && let Ok(next) = events.try_recv()
        {
            bytes += next.event.bytes();
            batch.push(next);
        }
        let (connection, limits) = (connection.clone(), limits.clone());
        tokio::spawn(async move {
            send(&connection, &limits, batch).await;
            drop(permit);
        });
    }
}

async fn send(connection: &SharedConnection, limits: &EnqueueLimits, batch: Vec<Waiter>) {
    let script = enqueue::enqueue(limits, batch.iter().map(|waiter| &waiter.event));
    let mut replies = connection.invoke::<Vec<Reply>>(&script).await;
    if replies.as_ref().is_err_and(is_dropped) {
        // The connection may have been closed long ago. If Redis did run the batch, its events are duplicates now.
        replies = connection.invoke(&script).await;
    }
    let results: Vec<EnqueueResult> = match replies {
        Ok(replies) if replies.len() == batch.len() => replies.into_iter().map(enqueue::read).collect(),
        Ok(_) => batch.iter().map(|_| Err(enqueue::unexpected())).collect(),
        Err(error) => batch.iter().map(|_| Err(error.clone().into())).collect(),
    };
    for (waiter, result) in batch.into_iter().zip(results) {
        // The request may have been cancelled.
        waiter.reply.send(result).ok();
    }
}
