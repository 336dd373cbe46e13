//! A pause applies to all workers and can only be extended.

use std::time::Duration;

use test_support::wait;
use webhook::Reason;

use crate::harness::{FAMILY, LONG, TestQueue, one};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_pause_is_seen_by_all_and_never_shortened() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let (mut a, b) = (queue.consumer("a", LONG).await, queue.consumer("b", LONG).await);
    assert_eq!(b.paused_for(&["default"]).await.unwrap(), None);
    let delivery = one(&mut a).await;
    assert_eq!(delivery.paused_for().await.unwrap(), None);
    assert_eq!(delivery.pause(MINUTE, Reason::RateLimited).await.unwrap(), MINUTE);
    let left = delivery.pause(MINUTE / 6, Reason::RateLimited).await.unwrap();
    assert!(left > MINUTE / 2 && left <= MINUTE, "{left:?}");
    assert!(delivery.pause(2 * MINUTE, Reason::RateLimited).await.unwrap() > MINUTE);

    let seen = b.paused_for(&["default"]).await.unwrap().unwrap();
    assert!(seen > MINUTE && seen <= 2 * MINUTE, "{seen:?}");
    assert!(delivery.paused_for().await.unwrap().is_some());
    // Events of another project are not paused.
    assert_eq!(b.paused_for(&["default", "other"]).await.unwrap(), None);
    let pauses = queue.admin.pauses().await.unwrap();
    assert_eq!(pauses.len(), 1);
    assert_eq!(
        (&*pauses[0].project, pauses[0].family, &*pauses[0].reason),
        ("default", FAMILY, "rate_limited")
    );
    delivery.ack().await.unwrap();
}

#[tokio::test]
async fn a_pause_ends_by_itself_or_by_hand() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let mut consumer = queue.consumer("a", LONG).await;
    let delivery = one(&mut consumer).await;
    delivery.pause(Duration::from_millis(30), Reason::RateLimited).await.unwrap();
    let over = async || delivery.paused_for().await.unwrap().is_none().then_some(());
    wait::until("the end of the pause", over).await;
    assert_eq!(queue.admin.pauses().await.unwrap(), []);

    delivery.pause(MINUTE, Reason::RateLimited).await.unwrap();
    queue.command::<()>(&format!("DEL {}", queue.keys.pause("default", FAMILY))).await;
    assert_eq!(consumer.paused_for(&["default"]).await.unwrap(), None);
    assert_eq!(queue.admin.pauses().await.unwrap(), []);
}
