//! Leases: heartbeat, takeover, and what the former holder may still do.

use std::time::{Duration, Instant};

use queue::Settled;
use webhook::Reason;

use crate::harness::{LONG, TestQueue, nothing, one, webhook_id};

/// Takes over everything that is pending, as after an expired lease.
const AT_ONCE: Duration = Duration::ZERO;

#[tokio::test]
async fn an_abandoned_delivery_is_taken_over_and_counted_as_a_crash() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let lease = Duration::from_millis(300);
    let (mut a, mut b) = (queue.consumer("a", lease).await, queue.consumer("b", lease).await);
    drop(one(&mut a).await);
    let again = one(&mut b).await;
    assert_eq!((webhook_id(&again), again.attempt, again.crashes), ("wh_1", 1, 1));
    drop(again);
    assert_eq!(one(&mut a).await.crashes, 2);
}

#[tokio::test]
async fn crashes_are_kept_beside_the_attempts() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let mut consumer = queue.consumer("a", AT_ONCE).await;
    one(&mut consumer).await.retry_after(Duration::ZERO, Reason::TimedOut, "slow").await.unwrap();
    drop(one(&mut consumer).await);
    let delivery = one(&mut consumer).await;
    assert_eq!((delivery.attempt, delivery.crashes), (2, 1));
    delivery.dead_letter(Reason::Crashed, "takes its worker down", None).await.unwrap();
    let letter = queue.admin.dead_letters(crate::harness::FAMILY, 1).await.unwrap().pop().unwrap();
    assert_eq!((letter.attempts, letter.crashes), (2, 1));
}

#[tokio::test]
async fn the_heartbeat_keeps_a_delivery_that_takes_longer_than_its_lease() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let lease = Duration::from_secs(2);
    let (mut a, mut b) = (queue.consumer("a", lease).await, queue.consumer("b", lease).await);
    let delivery = one(&mut a).await;
    let started = Instant::now();
    while started.elapsed() < lease * 2 {
        let taken = b.receive(1).await.unwrap();
        assert!(taken.is_empty(), "taken over after {:?}", started.elapsed());
    }
    assert!(!delivery.lease_lost().is_cancelled());
    assert_eq!(delivery.retry_after(LONG, Reason::NotFound, "404").await.unwrap(), Settled::Done);
}

#[tokio::test]
async fn the_heartbeat_outlives_its_consumer() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let lease = Duration::from_secs(1);
    let mut a = queue.consumer("a", lease).await;
    let delivery = one(&mut a).await;
    drop(a);
    let mut b = queue.consumer("b", AT_ONCE).await;
    let taken_over = one(&mut b).await;
    delivery.lease_lost().cancelled().await;
    assert_eq!(taken_over.crashes, 1);
}

#[tokio::test]
async fn a_lost_lease_is_signalled_and_settling_changes_nothing() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let mut a = queue.consumer("a", Duration::from_secs(1)).await;
    let lost = one(&mut a).await;
    let taken_over = one(&mut queue.consumer("b", AT_ONCE).await).await;
    lost.lease_lost().cancelled().await;
    assert_eq!(lost.retry_after(Duration::ZERO, Reason::TimedOut, "slow").await.unwrap(), Settled::LeaseLost);
    assert_eq!((taken_over.attempt, taken_over.crashes), (1, 1));
    assert_eq!(queue.stats().await.pending, 1);
    assert_eq!(taken_over.ack().await.unwrap(), Settled::Done);
}

#[tokio::test]
async fn settling_finds_a_lease_lost_before_the_heartbeat_does() {
    let queue = TestQueue::start();
    for id in ["wh_1", "wh_2", "wh_3", "wh_4"] {
        queue.add(id).await;
    }
    let (mut a, mut b) = (queue.consumer("a", LONG).await, queue.consumer("b", AT_ONCE).await);
    let mut lost = a.receive(4).await.unwrap();
    let taken_over = b.receive(4).await.unwrap();
    assert_eq!((lost.len(), taken_over.len()), (4, 4));
    assert!(!lost[0].lease_lost().is_cancelled());
    let settled = [
        lost.pop().unwrap().retry_after(LONG, Reason::TimedOut, "slow").await.unwrap(),
        lost.pop().unwrap().snooze(LONG).await.unwrap(),
        lost.pop().unwrap().release().await.unwrap(),
        lost.pop().unwrap().dead_letter(Reason::TimedOut, "slow", None).await.unwrap(),
    ];
    assert_eq!(settled, [Settled::LeaseLost; 4]);
    let stats = queue.stats().await;
    assert_eq!((stats.pending, stats.delayed, stats.dead), (4, 0, 0));
}

#[tokio::test]
async fn a_consumer_whose_heartbeat_is_late_does_not_take_its_own_work_twice() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let mut consumer = queue.consumer("a", LONG).await;
    let delivery = one(&mut consumer).await;
    // As if there were no heartbeat for ten times the lease.
    let idle = format!("XCLAIM events workers a 0 {} IDLE 6000000 JUSTID", delivery.entry_id);
    queue.command::<Vec<String>>(&idle).await;
    nothing(&mut consumer).await;
    assert!(!delivery.lease_lost().is_cancelled());
    assert_eq!(delivery.retry_after(Duration::ZERO, Reason::NotFound, "404").await.unwrap(), Settled::Done);
    assert_eq!(one(&mut consumer).await.crashes, 0);
}

#[tokio::test]
async fn an_older_lease_of_the_same_consumer_cannot_settle_the_newer_one() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let mut a = queue.consumer("a", Duration::from_secs(1)).await;
    let older = one(&mut a).await;
    let between = one(&mut queue.consumer("b", AT_ONCE).await).await;
    older.lease_lost().cancelled().await;
    between.release().await.unwrap();
    let newer = one(&mut a).await;
    assert_eq!(older.dead_letter(Reason::TimedOut, "slow", None).await.unwrap(), Settled::LeaseLost);
    assert!(!newer.lease_lost().is_cancelled());
    assert_eq!(newer.release().await.unwrap(), Settled::Done);
}

#[tokio::test]
async fn an_abandoned_delivery_is_found_behind_many_that_are_worked_on() {
    let queue = TestQueue::start();
    for n in 0..40 {
        queue.add(&format!("wh_{n}")).await;
    }
    let (mut a, mut b) = (queue.consumer("a", LONG).await, queue.consumer("b", LONG).await);
    let mut held = a.receive(40).await.unwrap();
    assert_eq!(held.len(), 40);
    let last = held.pop().unwrap().entry_id.clone();
    queue.command::<Vec<String>>(&format!("XCLAIM events workers a 0 {last} IDLE 6000000 JUSTID")).await;
    // Redis checks ten pending entries per call and free slot; the next call continues after them.
    for _ in 0..3 {
        assert!(b.receive_now(1).await.unwrap().is_empty());
    }
    let found = b.receive_now(1).await.unwrap().pop().unwrap();
    assert_eq!((found.entry_id.as_str(), found.crashes), (last.as_str(), 1));
}
