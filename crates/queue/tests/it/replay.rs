//! Replays of stored events, and waiting until they are processed.

use std::time::Duration;

use queue::{Enqueued, Entry};
use webhook::Reason;

use crate::harness::{FAMILY, LONG, TestQueue, entry, one, webhook_id};

fn again(webhook_id: &str) -> Entry {
    Entry { replay_of: Some(webhook_id.to_owned()), ..entry(webhook_id) }
}

async fn enqueue_again(queue: &TestQueue, webhook_id: &str, run: &str) -> Option<String> {
    match queue.producer.enqueue_again(FAMILY, &again(webhook_id), run).await.unwrap() {
        Enqueued::Added { entry_id } => Some(entry_id),
        Enqueued::Duplicate => None,
    }
}

#[tokio::test]
async fn an_event_is_enqueued_again_once_a_run_and_is_still_a_duplicate_for_ingest() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let mut consumer = queue.consumer("a", LONG).await;
    one(&mut consumer).await.ack().await.unwrap();

    assert!(enqueue_again(&queue, "wh_1", "first").await.is_some());
    assert!(enqueue_again(&queue, "wh_1", "first").await.is_none(), "a repeated call adds nothing");
    assert!(enqueue_again(&queue, "wh_1", "second").await.is_some(), "another run adds it again");
    assert_eq!(queue.producer.enqueue(FAMILY, &entry("wh_1")).await.unwrap(), Enqueued::Duplicate);

    for _ in 0..2 {
        let delivery = one(&mut consumer).await;
        assert_eq!((webhook_id(&delivery), delivery.attempt), ("wh_1", 1));
        assert_eq!(delivery.content.as_ref().unwrap().replay_of.as_deref(), Some("wh_1"));
        delivery.ack().await.unwrap();
    }
    let ttl: u64 = queue.command("TTL {landfall}:replayed:default:first:wh_1").await;
    assert!((1..=600).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn an_entry_is_unsettled_until_it_is_done_or_given_up() {
    let queue = TestQueue::start();
    let ids = [queue.add("wh_1").await, queue.add("wh_2").await, queue.add("wh_3").await];
    let unsettled = async || {
        let unsettled = queue.admin.unsettled(FAMILY, &ids).await.unwrap();
        unsettled.into_iter().map(|entry| (entry.entry_id, entry.last_error)).collect::<Vec<_>>()
    };
    assert_eq!(unsettled().await.len(), 3, "undelivered");
    let mut consumer = queue.consumer("a", LONG).await;
    let mut deliveries = consumer.receive(3).await.unwrap();
    assert_eq!(unsettled().await.len(), 3, "pending");
    deliveries.remove(0).ack().await.unwrap();
    deliveries.remove(0).dead_letter(Reason::Rejected, "400", None).await.unwrap();
    deliveries.remove(0).retry_after(Duration::from_secs(600), Reason::RateLimited, "429").await.unwrap();
    assert_eq!(unsettled().await, [(ids[2].clone(), Some("rate_limited: 429".to_owned()))], "delayed");
    let attempts = queue.admin.unsettled(FAMILY, &ids).await.unwrap()[0].failed_attempts;
    assert_eq!(attempts, 1);
    assert_eq!(queue.admin.unsettled(FAMILY, &[]).await.unwrap(), []);
}
