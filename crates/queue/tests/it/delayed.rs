//! Entries that wait for their retry are listed with their reason, and their wait can be ended.

use std::time::Duration;

use webhook::Reason;

use crate::harness::{FAMILY, LONG, TestQueue, nothing, one, webhook_id};

/// Adds an entry that is delayed after a failure with this reason, or snoozed.
async fn waiting(queue: &TestQueue, id: &str, reason: Option<Reason>) -> String {
    let entry_id = queue.add(id).await;
    let delivery = one(&mut queue.consumer("a", LONG).await).await;
    match reason {
        Some(reason) => delivery.retry_after(LONG, reason, "it said: no").await.unwrap(),
        None => delivery.snooze(LONG).await.unwrap(),
    };
    entry_id
}

#[tokio::test]
async fn waiting_entries_are_seen_with_their_reason() {
    let queue = TestQueue::start();
    let refused = waiting(&queue, "wh_1", Some(Reason::Unauthorized)).await;
    let put_off = waiting(&queue, "wh_2", None).await;
    // It is due already, so it does not wait.
    queue.add("wh_3").await;
    one(&mut queue.consumer("a", LONG).await).await.snooze(Duration::ZERO).await.unwrap();
    let delayed = queue.admin.delayed(FAMILY).await.unwrap();
    let seen: Vec<_> =
        delayed.iter().map(|entry| (entry.entry_id.as_str(), entry.failed_attempts, entry.reason)).collect();
    assert_eq!(seen, [(refused.as_str(), 1, Some(Reason::Unauthorized)), (&put_off, 0, None)]);
    let entries = queue.admin.entries(FAMILY, &[put_off.clone(), "1-1".to_owned()]).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!((&entries[0].0, entries[0].1.webhook_id.as_str()), (&put_off, "wh_2"));
}

#[tokio::test]
async fn a_wait_that_is_ended_changes_nothing_else() {
    let queue = TestQueue::start();
    let id = waiting(&queue, "wh_1", Some(Reason::Unauthorized)).await;
    waiting(&queue, "wh_2", Some(Reason::Forbidden)).await;
    let mut consumer = queue.consumer("b", LONG).await;
    nothing(&mut consumer).await;
    // An entry that is gone or already due is not added to the set.
    let ids = [id.clone(), "1-1".to_owned()];
    assert_eq!(queue.admin.make_due(FAMILY, &ids).await.unwrap(), std::slice::from_ref(&id));
    assert_eq!(queue.admin.make_due(FAMILY, &ids).await.unwrap(), [""; 0]);
    let delivery = one(&mut consumer).await;
    assert_eq!((webhook_id(&delivery), delivery.attempt, delivery.crashes), ("wh_1", 2, 0));
    assert_eq!(delivery.last_error.as_deref(), Some("unauthorized: it said: no"));
    // A running entry is not changed.
    assert_eq!(queue.admin.make_due(FAMILY, &ids).await.unwrap(), [""; 0]);
    nothing(&mut consumer).await;
    let stats = queue.stats().await;
    assert_eq!((stats.pending, stats.delayed, stats.backlog()), (1, 1, 2));
    delivery.ack().await.unwrap();
}

#[tokio::test]
async fn thousands_of_waiting_entries_are_seen_each_once() {
    let queue = TestQueue::start();
    let mut raw = queue.raw().await;
    let mut pipe = redis::pipe();
    for number in 0..3000 {
        let id = format!("{number}-1");
        pipe.cmd("ZADD").arg(queue.keys.delayed(FAMILY)).arg(4_000_000_000_000_i64 + number).arg(id).ignore();
    }
    pipe.query_async::<()>(&mut raw).await.unwrap();
    let ids: Vec<String> =
        queue.admin.delayed(FAMILY).await.unwrap().into_iter().map(|entry| entry.entry_id).collect();
    let expected: Vec<String> = (0..3000).map(|number| format!("{number}-1")).collect();
    assert_eq!(ids, expected, "in the order in which they are due");
    assert_eq!(queue.admin.make_due(FAMILY, &ids).await.unwrap().len(), 3000);
    assert!(queue.admin.delayed(FAMILY).await.unwrap().is_empty());
}
