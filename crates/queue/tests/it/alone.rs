//! Crashes while an entry ran alone are counted separately from crashes it shared with other entries.

use std::time::Duration;

use queue::Settled;
use webhook::Reason;

use crate::harness::{LONG, TestQueue, one};

const AT_ONCE: Duration = Duration::ZERO;

#[tokio::test]
async fn only_crashes_of_a_run_alone_count_as_such() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let mut owner = queue.consumer("a", LONG).await;
    let shared = one(&mut owner).await;
    let mut heir = queue.consumer("b", AT_ONCE).await;
    let mut delivery = one(&mut heir).await;
    assert_eq!((delivery.crashes, delivery.crashes_alone), (1, 0));
    for crashes_alone in 1..=3 {
        assert_eq!(delivery.begin_alone().await.unwrap(), Settled::Done);
        // A repeated call, because the reply was lost, counts once.
        assert_eq!(delivery.begin_alone().await.unwrap(), Settled::Done);
        drop(delivery);
        delivery = one(&mut heir).await;
        assert_eq!((delivery.crashes, delivery.crashes_alone), (1 + crashes_alone, crashes_alone));
    }
    drop(shared);
}

#[tokio::test]
async fn a_run_alone_that_is_put_back_is_not_a_crash() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let mut consumer = queue.consumer("a", AT_ONCE).await;
    drop(one(&mut consumer).await);
    let delivery = one(&mut consumer).await;
    delivery.begin_alone().await.unwrap();
    drop(delivery);
    for round in 0..4 {
        let delivery = one(&mut consumer).await;
        assert_eq!((delivery.crashes, delivery.crashes_alone), (2, 1), "round {round}");
        delivery.begin_alone().await.unwrap();
        match round {
            0 => delivery.retry_after(AT_ONCE, Reason::TimedOut, "slow").await.unwrap(),
            1 => delivery.snooze(AT_ONCE).await.unwrap(),
            2 => delivery.release().await.unwrap(),
            _ => delivery.ack().await.unwrap(),
        };
    }
    assert!(!queue.command::<bool>("EXISTS attempts").await);
}

#[tokio::test]
async fn a_delivery_with_a_lost_lease_marks_nothing() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let mut a = queue.consumer("a", LONG).await;
    let lost = one(&mut a).await;
    let held = one(&mut queue.consumer("b", AT_ONCE).await).await;
    assert_eq!(lost.begin_alone().await.unwrap(), Settled::LeaseLost);
    assert_eq!((held.crashes, held.crashes_alone), (1, 0));
    held.release().await.unwrap();
    assert_eq!(one(&mut queue.consumer("c", LONG).await).await.crashes_alone, 0);
}
