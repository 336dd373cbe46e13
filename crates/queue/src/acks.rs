//! Acknowledges deliveries: one, or many of them with one call per consumer.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::delivery::{Delivery, Settled};
use crate::error::QueueError;
use crate::keys::{FamilyKeys, GROUP};
use crate::scripts::{self, ConsumerSession};

/// Entries deleted by one script call; more would block Redis.
const ENTRIES_PER_CALL: usize = 256;

impl Delivery {
    /// Done: deletes the entry, even when the lease is lost, because another worker would only repeat the same work.
    pub async fn ack(self) -> Result<Settled, QueueError> {
        ack_entries(&self.session, &[&self.entry_id]).await
    }

    /// The same as [`Delivery::ack`] for each delivery. The deliveries of one consumer share calls, and a call takes
    /// effect completely or not at all. The results are in the order of the deliveries.
    pub async fn ack_all(deliveries: Vec<Self>) -> Vec<Result<Settled, QueueError>> {
        let mut calls: Vec<(&Arc<ConsumerSession>, Vec<&str>)> = Vec::new();
        let mut call_of_each = Vec::with_capacity(deliveries.len());
        for Self { session, entry_id, .. } in &deliveries {
            let has_room = |(of, ids): &(&Arc<ConsumerSession>, Vec<&str>)| {
                Arc::ptr_eq(of, session) && ids.len() < ENTRIES_PER_CALL
            };
            let call = calls.iter().position(has_room).unwrap_or_else(|| {
                calls.push((session, Vec::new()));
                calls.len() - 1
            });
            calls[call].1.push(entry_id);
            call_of_each.push(call);
        }
        let results = join_all(calls.iter().map(|(session, ids)| ack_entries(session, ids))).await;
        call_of_each.into_iter().map(|call| results[call].clone()).collect()
    }
}

async fn ack_entries(session: &ConsumerSession, ids: &[&str]) -> Result<Settled, QueueError> {
    let FamilyKeys { events, delayed, attempts, .. } = &session.keys;
    let mut script = scripts::ACK.prepare_invoke();
    script.key(events).key(delayed).key(attempts).arg(GROUP).arg(ids);
    session.persist::<()>("ack deliveries", &script).await?;
    Ok(Settled::Done)
}
