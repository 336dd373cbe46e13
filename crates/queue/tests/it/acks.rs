//! Many deliveries acked together: few calls, and the same state as after single acks.

use std::time::Duration;

use queue::{Consumer, ConsumerConfig, Delivery, Enqueued, QueueError, Settled};
use webhook::{Family, FinalState, Reason};

use crate::harness::{FAMILY, LONG, TestQueue, entry, nothing, one};

const OTHER_FAMILY: Family = Family::Response;

async fn ack_all(deliveries: Vec<Delivery>) -> Vec<Result<Settled, QueueError>> {
    Delivery::ack_all(deliveries.into_iter().map(|one| (one, FinalState::Stored)).collect()).await
}

async fn keys(queue: &TestQueue) -> Vec<String> {
    let mut keys: Vec<String> = queue.command("KEYS *").await;
    keys.retain(|key| !key.starts_with("{landfall}:seen") && key != "{landfall}:changes");
    keys.sort();
    keys
}

#[tokio::test]
async fn deliveries_acked_together_leave_nothing_and_cost_one_call_per_consumer() {
    let queue = TestQueue::start_without_disk();
    let other_config = ConsumerConfig { family: OTHER_FAMILY, ..queue.consumer_config("a", LONG) };
    let (mut a, mut other) =
        (queue.consumer("a", LONG).await, Consumer::connect(other_config).await.unwrap());
    for n in 0..300 {
        queue.add(&format!("wh_{n}")).await;
        if n < 3 {
            let added = queue.producer.enqueue(OTHER_FAMILY, &entry(&format!("wh_other_{n}"))).await;
            assert!(matches!(added.unwrap(), Enqueued::Added { .. }));
        }
    }
    // One has a history.
    one(&mut a).await.retry_after(Duration::ZERO, Reason::NotFound, "404").await.unwrap();
    let mut deliveries = a.receive_now(300).await.unwrap();
    assert_eq!(deliveries[0].attempt, 2);
    for (at, delivery) in other.receive_now(3).await.unwrap().into_iter().enumerate() {
        deliveries.insert(at * 100, delivery);
    }
    assert_eq!(deliveries.len(), 303);

    let settled = ack_all(deliveries).await;
    assert!(settled.len() == 303 && settled.iter().all(|one| matches!(one, Ok(Settled::Done))));
    assert_eq!(keys(&queue).await, [queue.keys.events(FAMILY), queue.keys.events(OTHER_FAMILY)]);
    assert!(queue.admin.stats().await.unwrap().iter().all(|stats| stats.backlog() == 0));
    // The script runs XDEL once, for at most 256 entries. It also announces them.
    assert_eq!(queue.calls_of("xdel").await, 3);
    assert_eq!(queue.command::<u64>("XLEN {landfall}:changes").await, 303);
    assert!(ack_all(Vec::new()).await.is_empty());
}

#[tokio::test]
async fn an_ack_of_many_deletes_what_another_worker_took_over_or_has_acked() {
    let queue = TestQueue::start();
    for id in ["wh_1", "wh_2", "wh_3"] {
        queue.add(id).await;
    }
    let (mut slow, mut quick) = (queue.consumer("a", LONG).await, queue.consumer("b", Duration::ZERO).await);
    let late = slow.receive_now(3).await.unwrap();
    let mut taken_over = quick.receive_now(3).await.unwrap();
    assert_eq!((late.len(), taken_over.len()), (3, 3));
    taken_over.pop().unwrap().ack().await.unwrap();
    taken_over.pop().unwrap().retry_after(LONG, Reason::TimedOut, "slow").await.unwrap();
    for settled in ack_all(late).await {
        assert_eq!(settled.unwrap(), Settled::Done);
    }
    nothing(&mut quick).await;
    assert_eq!(queue.stats().await.backlog(), 0);
    assert_eq!(keys(&queue).await, [queue.keys.events(FAMILY)]);
}

#[tokio::test]
async fn an_ack_of_many_waits_for_a_redis_that_comes_back() {
    let mut queue = TestQueue::start();
    for n in 0..10 {
        queue.add(&format!("wh_{n}")).await;
    }
    let mut consumer = queue.consumer("a", LONG).await;
    let deliveries = consumer.receive_now(10).await.unwrap();
    queue.server.kill();
    let acks = tokio::spawn(ack_all(deliveries));
    assert!(queue.admin.ping().await.is_err());
    queue.server.resume();
    let settled = acks.await.unwrap();
    assert!(settled.len() == 10 && settled.iter().all(|one| matches!(one, Ok(Settled::Done))));
    assert_eq!(queue.stats().await.backlog(), 0);
}

#[tokio::test]
async fn each_delivery_of_a_refused_ack_gets_the_error() {
    let queue = TestQueue::start();
    for id in ["wh_1", "wh_2"] {
        queue.add(id).await;
    }
    let deliveries = queue.consumer("a", LONG).await.receive_now(2).await.unwrap();
    queue.command::<()>("DEL events").await;
    queue.command::<()>("SET events x").await;
    let settled = ack_all(deliveries).await;
    assert!(settled.len() == 2 && settled.iter().all(|one| one.as_ref().is_err_and(|e| !e.is_retryable())));
}
