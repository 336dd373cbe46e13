//! What a worker costs Redis per event.

use queue::Delivery;
use webhook::FinalState;

use crate::harness::{LONG, TestQueue};

const EVENTS: usize = 500;
const SLOTS: usize = 64;

#[tokio::test]
async fn a_drain_needs_at_most_one_call_for_five_events() {
    let queue = TestQueue::start_without_disk();
    for n in 0..EVENTS {
        queue.add(&format!("wh_{n}")).await;
    }
    let mut consumer = queue.consumer("a", LONG).await;
    consumer.respect_pauses_of(["default".to_owned()]);
    let enqueued = queue.calls_of("evalsha").await;
    let mut acked = 0;
    while acked < EVENTS {
        let deliveries = consumer.receive_now(SLOTS).await.unwrap();
        assert!(!deliveries.is_empty() && deliveries.iter().all(|one| one.paused_for().is_none()));
        let done = deliveries.into_iter().map(|delivery| (delivery, FinalState::Stored)).collect();
        for settled in Delivery::ack_all(done).await {
            settled.unwrap();
            acked += 1;
        }
    }
    let scripts = queue.calls_of("evalsha").await - enqueued;
    let reads = queue.calls_of("xreadgroup").await;
    assert!((scripts + reads) * 5 <= EVENTS as u64, "{scripts} scripts and {reads} reads");
    // Events that never failed have no history, and nothing is paused.
    assert_eq!((queue.calls_of("hmget").await, queue.calls_of("xrange").await), (0, 0));
}

#[tokio::test]
async fn a_claim_is_rare_while_new_entries_keep_coming() {
    const READS: u64 = 200;
    let queue = TestQueue::start_without_disk();
    for n in 0..READS {
        queue.add(&format!("wh_{n}")).await;
    }
    let mut consumer = queue.consumer("a", LONG).await;
    let (enqueued, started) = (queue.calls_of("evalsha").await, tokio::time::Instant::now());
    let mut deliveries = Vec::new();
    for _ in 0..READS {
        deliveries.extend(consumer.receive_now(1).await.unwrap());
    }
    let intervals = u64::try_from(started.elapsed().as_millis()).unwrap() / 20;
    let claims = queue.calls_of("evalsha").await - enqueued;
    assert_eq!((deliveries.len() as u64, queue.calls_of("xreadgroup").await), (READS, READS));
    // At the start, and one call more to learn that Redis does not have the script yet.
    assert!(claims <= intervals + 2, "{claims} claims in {intervals} intervals");
}
