//! Acknowledges deliveries: one, or many of them with one call per consumer. The same call announces what became of
//! them.

use std::sync::Arc;

use futures_util::future::join_all;
use webhook::FinalState;

use crate::changes::CHANGES_MAX;
use crate::delivery::{Delivery, Settled};
use crate::error::QueueError;
use crate::keys::{FamilyKeys, GROUP};
use crate::scripts::{self, ConsumerSession};

/// Entries deleted by one script call; more would block Redis.
const ENTRIES_PER_CALL: usize = 256;

impl Delivery {
    /// Done: deletes the entry, even when the lease is lost, because another worker would only repeat the same work.
    /// Announces its object as stored.
    pub async fn ack(self) -> Result<Settled, QueueError> {
        ack_entries(&self.session, &[Acked::of(&self, FinalState::Stored)]).await
    }

    /// The same as [`Delivery::ack`] for each delivery, with what became of its object. The deliveries of one consumer
    /// share calls, and a call takes effect completely or not at all. The results are in the order of the deliveries.
    pub async fn ack_all(deliveries: Vec<(Self, FinalState)>) -> Vec<Result<Settled, QueueError>> {
        let mut calls: Vec<(&Arc<ConsumerSession>, Vec<Acked<'_>>)> = Vec::new();
        let mut call_of_each = Vec::with_capacity(deliveries.len());
        for (delivery, state) in &deliveries {
            let session = &delivery.session;
            let has_room = |(of, acked): &(&Arc<ConsumerSession>, Vec<Acked<'_>>)| {
                Arc::ptr_eq(of, session) && acked.len() < ENTRIES_PER_CALL
            };
            let call = calls.iter().position(has_room).unwrap_or_else(|| {
                calls.push((session, Vec::new()));
                calls.len() - 1
            });
            calls[call].1.push(Acked::of(delivery, *state));
            call_of_each.push(call);
        }
        let results = join_all(calls.iter().map(|(session, acked)| ack_entries(session, acked))).await;
        call_of_each.into_iter().map(|call| results[call].clone()).collect()
    }
}

/// An entry that is done, and what to announce.
struct Acked<'a> {
    entry_id: &'a str,
    announced_id: String,
    state: FinalState,
}

impl<'a> Acked<'a> {
    fn of(delivery: &'a Delivery, state: FinalState) -> Self {
        Self { entry_id: &delivery.entry_id, announced_id: delivery.announced_id(), state }
    }
}

async fn ack_entries(session: &ConsumerSession, acked: &[Acked<'_>]) -> Result<Settled, QueueError> {
    let FamilyKeys { events, delayed, attempts, .. } = &session.keys;
    let mut script = scripts::ACK.prepare_invoke();
    script.key(events).key(delayed).key(attempts).key(session.all_keys.changes());
    script.arg(GROUP).arg(session.family.as_str()).arg(CHANGES_MAX);
    for Acked { entry_id, announced_id, state } in acked {
        script.arg(entry_id).arg(announced_id).arg(state.as_str());
    }
    session.persist::<()>("ack deliveries", &script).await?;
    Ok(Settled::Done)
}
