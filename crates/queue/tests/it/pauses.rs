//! A pause applies to all workers and can only be extended.

use std::time::Duration;

use queue::Consumer;
use test_support::wait;
use webhook::Reason;

use crate::harness::{FAMILY, LONG, TestQueue, blocked, nothing, one, webhook_id};

const MINUTE: Duration = Duration::from_secs(60);

fn respecting(mut consumer: Consumer, projects: &[&str]) -> Consumer {
    consumer.respect_pauses_of(projects.iter().map(|&project| project.to_owned()));
    consumer
}

#[tokio::test]
async fn a_pause_is_seen_by_all_and_never_shortened() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    queue.add("wh_2").await;
    let mut a = queue.consumer("a", LONG).await;
    let mut b = respecting(queue.consumer("b", LONG).await, &["default"]);
    let mut both = respecting(queue.consumer("c", LONG).await, &["default", "other"]);
    let delivery = one(&mut a).await;
    assert_eq!(delivery.paused_for(), None);
    assert_eq!(delivery.pause(MINUTE, Reason::RateLimited).await.unwrap(), MINUTE);
    let left = delivery.pause(MINUTE / 6, Reason::RateLimited).await.unwrap();
    assert!(left > MINUTE / 2 && left <= MINUTE, "{left:?}");
    assert!(delivery.pause(2 * MINUTE, Reason::RateLimited).await.unwrap() > MINUTE);
    assert!(delivery.paused_for().is_some_and(|left| left > MINUTE));

    nothing(&mut b).await;
    let seen = b.paused_for().unwrap();
    assert!(seen > MINUTE && seen <= 2 * MINUTE, "{seen:?}");
    // Events of another project are not paused.
    let received = both.receive_now(10).await.unwrap().pop().unwrap();
    assert!(received.paused_for().is_some_and(|left| left > MINUTE));
    assert_eq!(both.paused_for(), None);
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
    let mut consumer = respecting(queue.consumer("a", LONG).await, &["default"]);
    let delivery = one(&mut consumer).await;
    delivery.pause(Duration::from_millis(30), Reason::RateLimited).await.unwrap();
    let over = async || delivery.paused_for().is_none().then_some(());
    wait::until("the end of the pause", over).await;
    assert_eq!(queue.admin.pauses().await.unwrap(), []);

    delivery.pause(MINUTE, Reason::RateLimited).await.unwrap();
    queue.add("wh_2").await;
    nothing(&mut consumer).await;
    queue.command::<()>(&format!("DEL {}", queue.keys.pause("default", FAMILY))).await;
    assert_eq!(webhook_id(&one(&mut consumer).await), "wh_2");
    assert_eq!((consumer.paused_for(), delivery.paused_for()), (None, None));
    assert_eq!(queue.admin.pauses().await.unwrap(), []);
}

#[tokio::test]
async fn a_pause_that_begins_while_a_worker_waits_is_known_to_its_next_delivery() {
    let queue = TestQueue::start();
    let mut consumer = respecting(queue.consumer("a", LONG).await, &["default"]);
    let paused = async {
        blocked(&queue).await;
        let pause = queue.keys.pause("default", FAMILY);
        queue.command::<()>(&format!("SET {pause} rate_limited")).await;
        queue.add("wh_1").await;
    };
    let (delivery, ()) = tokio::join!(one(&mut consumer), paused);
    assert!(delivery.paused_for().is_some());
    delivery.snooze(Duration::ZERO).await.unwrap();
    queue.add("wh_2").await;
    // Neither due nor new entries are received during the pause.
    nothing(&mut consumer).await;
    assert!(consumer.paused_for().is_some());
    assert_eq!(queue.stats().await.pending, 0);
}

#[tokio::test]
async fn a_pause_that_is_ended_by_hand_while_a_worker_waits_is_over_for_its_next_delivery() {
    let queue = TestQueue::start();
    let pause = queue.keys.pause("default", FAMILY);
    queue.command::<()>(&format!("SET {pause} rate_limited PX 600000")).await;
    // Not every project is paused, so this worker receives.
    let mut consumer = respecting(queue.consumer("a", LONG).await, &["default", "other"]);
    queue.add("wh_1").await;
    assert!(one(&mut consumer).await.paused_for().is_some());
    let ended = async {
        blocked(&queue).await;
        queue.command::<()>(&format!("DEL {pause}")).await;
        queue.add("wh_2").await;
    };
    let (delivery, ()) = tokio::join!(one(&mut consumer), ended);
    assert_eq!(delivery.paused_for(), None);
}
