//! The statistics for users and alerts.

use futures_util::future::join_all;

use crate::harness::{FAMILY, LONG, TestQueue, entry, one};
use webhook::Reason;

#[tokio::test]
async fn every_state_is_counted_and_the_oldest_has_an_age() {
    let queue = TestQueue::start();
    let empty = queue.stats().await;
    assert_eq!((empty.backlog(), empty.dead, empty.oldest_ms), (0, 0, None));
    for n in 0..10 {
        queue.add(&format!("wh_{n}")).await;
    }
    let mut consumer = queue.consumer("a", LONG).await;
    let pending = one(&mut consumer).await;
    one(&mut consumer).await.retry_after(LONG, Reason::NotFound, "404").await.unwrap();
    one(&mut consumer).await.snooze(LONG).await.unwrap();
    one(&mut consumer).await.dead_letter(Reason::Rejected, "400", None).await.unwrap();
    one(&mut consumer).await.ack().await.unwrap();
    let stats = queue.stats().await;
    assert_eq!((stats.undelivered, stats.pending, stats.delayed, stats.dead), (5, 1, 2, 1));
    assert_eq!(stats.backlog(), queue.command::<u64>("XLEN events").await);
    assert!(stats.oldest_ms.is_some_and(|ms| ms < 60_000), "{stats:?}");
    pending.ack().await.unwrap();
}

#[tokio::test]
async fn the_age_of_the_oldest_is_that_of_its_entry() {
    let queue = TestQueue::start();
    queue.command::<String>("XADD events 1000-0 v 1").await;
    assert!(queue.stats().await.oldest_ms.is_some_and(|ms| ms > 1_000_000_000));
}

#[tokio::test]
async fn a_long_backlog_is_counted_to_its_end() {
    let queue = TestQueue::on(test_support::redis::RedisServer::start_with(&[]));
    let mut consumer = queue.consumer("a", LONG).await;
    for (count, undelivered) in [(999, 999), (2, 1001), (1500, 2501)] {
        let add = (0..count).map(|n| format!("wh_{undelivered}_{n}")).map(async |id| queue.add(&id).await);
        join_all(add).await;
        assert_eq!(queue.stats().await.undelivered, undelivered);
    }
    let pending = consumer.receive_now(300).await.unwrap();
    let stats = queue.stats().await;
    assert_eq!((stats.undelivered, stats.pending), (2201, 300));
    drop(pending);
}

#[tokio::test]
async fn an_entry_lost_between_the_sets_shows_in_the_sum() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let mut consumer = queue.consumer("a", LONG).await;
    let delivery = one(&mut consumer).await;
    // A manual command.
    queue.command::<()>(&format!("XACK events workers {}", delivery.entry_id)).await;
    assert_eq!(queue.stats().await.backlog(), 0);
    assert_eq!(queue.command::<u64>("XLEN events").await, 1);
}

#[tokio::test]
async fn a_reader_can_look_at_a_full_redis_and_says_when_there_is_none() {
    let mut queue = TestQueue::start();
    queue.producer.enqueue(FAMILY, &entry("wh_1")).await.unwrap();
    queue.command::<()>("CONFIG SET maxmemory 1").await;
    assert_eq!(queue.stats().await.undelivered, 1);
    queue.admin.ping().await.unwrap();
    queue.server.kill();
    assert!(queue.admin.stats().await.unwrap_err().is_retryable());
    assert!(queue.admin.ping().await.unwrap_err().is_retryable());
}

/// Longer than any slow machine needs.
const HOUR_MS: i64 = 3_600_000;

async fn now_ms(queue: &TestQueue) -> i64 {
    queue.command::<(i64, i64)>("TIME").await.0 * 1000
}

#[tokio::test]
async fn only_late_entries_are_overdue() {
    let queue = TestQueue::start();
    let mut consumer = queue.consumer("a", LONG).await;
    assert_eq!(queue.stats().await.overdue_ms, 0);
    // An entry from an hour ago; stream ids must be in order.
    let came = now_ms(&queue).await - HOUR_MS;
    queue.command::<()>(&format!("XADD events {came}-0 v 1 id wh_1 project default")).await;
    let overdue = queue.stats().await.overdue_ms;
    assert!((3_600_000..3_700_000).contains(&overdue), "{overdue}");
    // While a worker holds it, or while it is delayed, it is not overdue, however old it is.
    let delivery = one(&mut consumer).await;
    assert_eq!(queue.stats().await.overdue_ms, 0);
    delivery.retry_after(LONG, Reason::NotFound, "404").await.unwrap();
    let stats = queue.stats().await;
    assert!(stats.overdue_ms == 0 && stats.oldest_ms.is_some_and(|ms| ms > 3_000_000), "{stats:?}");
    // Due for a minute, and not delivered.
    let due = now_ms(&queue).await - 60_000;
    queue.command::<()>(&format!("ZADD delayed {due} {came}-0")).await;
    let overdue = queue.stats().await.overdue_ms;
    assert!((60_000..1_000_000).contains(&overdue), "{overdue}");
}

#[tokio::test]
async fn a_paused_entry_is_overdue_only_after_the_pause() {
    let queue = TestQueue::start();
    let (now, came) = (now_ms(&queue).await, now_ms(&queue).await - HOUR_MS);
    queue.command::<()>(&format!("XADD events {came}-0 v 1 id wh_1 project default")).await;
    let (pause, pauses) = (queue.keys.pause("default", FAMILY), queue.keys.pauses());
    let member = format!("default:{FAMILY}");
    queue.command::<()>(&format!("ZADD {pauses} {} {member}", now + HOUR_MS)).await;
    queue.command::<()>(&format!("SET {pause} rate_limited PX {HOUR_MS}")).await;
    assert_eq!(queue.stats().await.overdue_ms, 0, "it waits on purpose");
    // Ended manually at an unknown time, so all of its time counts.
    queue.command::<()>(&format!("DEL {pause}")).await;
    assert!(queue.stats().await.overdue_ms >= 3_600_000);
    // Expired ten minutes ago.
    queue.command::<()>(&format!("ZADD {pauses} {} {member}", now - 600_000)).await;
    let overdue = queue.stats().await.overdue_ms;
    assert!((600_000..1_500_000).contains(&overdue), "{overdue}");
}
