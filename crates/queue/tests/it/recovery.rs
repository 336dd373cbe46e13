//! Nothing is lost by cancelled reads, lost replies, an emptied Redis, a deleted group or flushed scripts.

use std::time::Duration;

use webhook::Reason;

use crate::harness::{FAMILY, LONG, TestQueue, blocked, nothing, one, webhook_id};

#[tokio::test]
async fn a_cancelled_read_loses_nothing() {
    let queue = TestQueue::start();
    let mut consumer = queue.consumer("a", LONG).await;
    for round in 0..20 {
        tokio::select! {
            _ = consumer.receive(1) => panic!("nothing is there yet"),
            () = blocked(&queue) => {}
        }
        let id = format!("wh_{round}");
        queue.add(&id).await;
        let delivery = one(&mut consumer).await;
        assert_eq!((webhook_id(&delivery), delivery.attempt, delivery.crashes), (&*id, 1, 0));
        delivery.ack().await.unwrap();
    }
    assert_eq!(queue.stats().await.backlog(), 0);
}

#[tokio::test]
async fn a_lost_reply_is_recovered_without_a_crash() {
    let queue = TestQueue::start();
    let mut consumer = queue.consumer("a", LONG).await;
    queue.add("wh_held").await;
    let held = one(&mut consumer).await;
    tokio::select! {
        _ = consumer.receive(1) => panic!("nothing is there yet"),
        () = blocked(&queue) => {}
    }
    for id in ["wh_1", "wh_2", "wh_3"] {
        queue.add(id).await;
    }
    let lost = "XREADGROUP GROUP workers a COUNT 3 STREAMS events >";
    queue.command::<redis::Value>(lost).await;
    let mut seen = Vec::new();
    for expected in [2, 1, 0] {
        let deliveries = consumer.receive_now(2).await.unwrap();
        assert_eq!(deliveries.len(), expected);
        for delivery in deliveries {
            assert_eq!((delivery.attempt, delivery.crashes), (1, 0));
            seen.push(webhook_id(&delivery).to_owned());
            delivery.ack().await.unwrap();
        }
    }
    assert_eq!(seen, ["wh_1", "wh_2", "wh_3"]);
    held.ack().await.unwrap();
}

#[tokio::test]
async fn a_stopping_consumer_releases_entries_it_never_saw() {
    let queue = TestQueue::start();
    let (a, mut b) = (queue.consumer("a", LONG).await, queue.consumer("b", LONG).await);
    queue.add("wh_1").await;
    let lost = "XREADGROUP GROUP workers a COUNT 1 STREAMS events >";
    queue.command::<redis::Value>(lost).await;
    a.remove().await;
    let delivery = one(&mut b).await;
    assert_eq!((delivery.attempt, delivery.crashes), (1, 0));
    let names: Vec<redis::Value> = queue.command("XINFO CONSUMERS events workers").await;
    assert_eq!(names.len(), 1);
}

#[tokio::test]
async fn an_emptied_redis_is_used_again_even_by_a_blocked_reader() {
    let queue = TestQueue::start();
    let mut consumer = queue.consumer("a", LONG).await;
    queue.add("wh_1").await;
    let delivery = one(&mut consumer).await;
    let emptied = async {
        blocked(&queue).await;
        queue.command::<()>("FLUSHALL").await;
        queue.add("wh_1").await;
    };
    let (again, ()) = tokio::join!(one(&mut consumer), emptied);
    assert_eq!((webhook_id(&again), again.attempt), ("wh_1", 1));
    let gone = delivery.retry_after(Duration::ZERO, Reason::NotFound, "404").await.unwrap();
    assert_eq!(gone, queue::Settled::LeaseLost);
    again.ack().await.unwrap();
    assert_eq!(queue.stats().await.backlog(), 0);
}

#[tokio::test]
async fn a_recreated_group_reads_every_entry_once_the_delayed_ones_too() {
    let queue = TestQueue::start();
    for id in ["wh_acked", "wh_delayed", "wh_pending", "wh_dead"] {
        queue.add(id).await;
    }
    let mut consumer = queue.consumer("a", LONG).await;
    one(&mut consumer).await.ack().await.unwrap();
    one(&mut consumer).await.retry_after(Duration::ZERO, Reason::NotFound, "404").await.unwrap();
    let delayed = one(&mut consumer).await;
    assert_eq!(webhook_id(&delayed), "wh_delayed");
    delayed.retry_after(LONG, Reason::NotFound, "404").await.unwrap();
    let pending = one(&mut consumer).await;
    one(&mut consumer).await.dead_letter(Reason::Rejected, "400", None).await.unwrap();
    queue.add("wh_new").await;
    queue.command::<()>("XGROUP DESTROY events workers").await;

    let deliveries = consumer.receive_now(10).await.unwrap();
    let stats = queue.stats().await;
    assert_eq!((stats.undelivered, stats.pending, stats.delayed), (0, 3, 0));
    let mut seen = Vec::new();
    for delivery in deliveries {
        seen.push((webhook_id(&delivery).to_owned(), delivery.attempt));
        delivery.ack().await.unwrap();
    }
    let expected = [("wh_delayed", 3), ("wh_pending", 1), ("wh_new", 1)];
    assert_eq!(seen, expected.map(|(id, attempt)| (id.to_owned(), attempt)));
    assert!(pending.lease_lost().is_cancelled(), "it was read again");
    nothing(&mut consumer).await;
}

#[tokio::test]
async fn events_enqueued_before_any_group_are_delivered() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let mut consumer = queue.consumer("a", LONG).await;
    assert_eq!(webhook_id(&one(&mut consumer).await), "wh_1");
}

#[tokio::test]
async fn leases_are_lost_with_their_group() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let mut consumer = queue.consumer("a", Duration::from_secs(1)).await;
    let delivery = one(&mut consumer).await;
    queue.command::<()>("XGROUP DESTROY events workers").await;
    delivery.lease_lost().cancelled().await;
    assert_eq!(delivery.ack().await.unwrap(), queue::Settled::Done);
    nothing(&mut consumer).await;
}

#[tokio::test]
async fn a_redis_with_flushed_scripts_gets_them_again() {
    let queue = TestQueue::start();
    let mut consumer = queue.consumer("a", LONG).await;
    for round in 0..3 {
        queue.add(&format!("wh_{round}")).await;
        queue.command::<()>("SCRIPT FLUSH").await;
        let delivery = one(&mut consumer).await;
        queue.command::<()>("SCRIPT FLUSH").await;
        delivery.release().await.unwrap();
        one(&mut consumer).await.ack().await.unwrap();
        queue.command::<()>("SCRIPT FLUSH").await;
    }
    assert!(queue.admin.dead_letters(FAMILY, 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_delayed_entry_deleted_by_hand_does_not_block_the_next() {
    let queue = TestQueue::start();
    let id = queue.add("wh_1").await;
    queue.add("wh_2").await;
    let mut consumer = queue.consumer("a", LONG).await;
    for delivery in consumer.receive_now(2).await.unwrap() {
        delivery.retry_after(Duration::ZERO, Reason::NotFound, "404").await.unwrap();
    }
    queue.command::<()>(&format!("XDEL events {id}")).await;
    let delivery = one(&mut consumer).await;
    assert_eq!(webhook_id(&delivery), "wh_2");
    delivery.ack().await.unwrap();
    assert!(!queue.command::<bool>("EXISTS delayed").await);
    assert!(!queue.command::<bool>("EXISTS attempts").await);
}
