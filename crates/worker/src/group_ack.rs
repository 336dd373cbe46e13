//! Acknowledges deliveries together: a group commit ends many at once. While one call is under way, the next collects.

use queue::{Delivery, QueueError, Settled};
use tokio::sync::{mpsc, oneshot};
use webhook::FinalState;

/// The sending half. The loop ends when it is dropped.
pub(crate) struct GroupAck(mpsc::UnboundedSender<Member>);

struct Member {
    delivery: Delivery,
    /// Announced with the ack.
    state: FinalState,
    acked: oneshot::Sender<Result<Settled, QueueError>>,
}

impl GroupAck {
    /// Needs a Tokio runtime.
    pub(crate) fn start() -> Self {
        let (queue, members) = mpsc::unbounded_channel();
        tokio::spawn(ack_groups(members));
        Self(queue)
    }

    /// Acknowledges a delivery whose event is on disk, and announces what became of its object.
    pub(crate) async fn ack(&self, delivery: Delivery, state: FinalState) -> Result<Settled, QueueError> {
        let (acked, receiver) = oneshot::channel();
        self.0.send(Member { delivery, state, acked }).ok();
        receiver.await.expect("the loop replies to each member, and outlives every sender")
    }
}

async fn ack_groups(mut members: mpsc::UnboundedReceiver<Member>) {
    while let Some(first) = members.recv().await {
        // Lets all deliveries of the same group commit come first.
        tokio::task::yield_now().await;
        let mut group = vec![first];
        while let Ok(next) = members.try_recv() {
            group.push(next);
        }
        let (deliveries, waiting): (Vec<_>, Vec<_>) =
            group.into_iter().map(|Member { delivery, state, acked }| ((delivery, state), acked)).unzip();
        for (acked, result) in waiting.into_iter().zip(Delivery::ack_all(deliveries).await) {
            acked.send(result).ok();
        }
    }
}
