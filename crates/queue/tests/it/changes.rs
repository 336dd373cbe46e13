//! What became of each event is announced in the step that ends its entry, and a follower misses nothing unnoticed.

use std::time::Duration;

use queue::{Change, ChangeFollower, ChangeId, Delivery, Enqueued, Entry, Followed, Settled};
use test_support::wait;
use webhook::{Family, FinalState, Reason};

use crate::harness::{FAMILY, LONG, TestQueue, blocked, entry, one};

/// Approximate length of the stream.
const CHANGES_MAX: u64 = 100_000;

/// Enqueues an event about an object.
async fn add(queue: &TestQueue, object_id: &str) {
    let body = format!(r#"{{"type":"batch.completed","data":{{"id":"{object_id}"}}}}"#).into_bytes();
    let entry = Entry { body, ..entry(&format!("wh_of_{object_id}")) };
    assert!(matches!(queue.producer.enqueue(FAMILY, &entry).await.unwrap(), Enqueued::Added { .. }));
}

/// The fields of all changes, oldest first.
async fn announced(queue: &TestQueue) -> Vec<Vec<String>> {
    let entries: Vec<(String, Vec<String>)> = queue.command("XRANGE {landfall}:changes - +").await;
    entries.into_iter().map(|(_, fields)| fields).collect()
}

fn fields(id: &str, state: &str) -> Vec<String> {
    ["kind", "batch", "id", id, "state", state].map(str::to_owned).to_vec()
}

/// The ids of the next changes, once there are some.
async fn next_ids(follower: &mut ChangeFollower) -> Vec<String> {
    loop {
        match follower.next(wait::DEADLINE).await.unwrap() {
            Followed::Changes(changes) if changes.is_empty() => {}
            Followed::Changes(changes) => return changes.into_iter().map(|one| one.object_id).collect(),
            Followed::Gap => panic!("a gap"),
        }
    }
}

#[tokio::test]
async fn an_ack_announces_once_what_became_of_the_object() {
    let queue = TestQueue::start();
    for id in ["batch_1", "batch_2", "batch_3"] {
        add(&queue, id).await;
    }
    let (mut slow, mut quick) = (queue.consumer("a", LONG).await, queue.consumer("b", Duration::ZERO).await);
    let late = slow.receive_now(3).await.unwrap();
    let deliveries = quick.receive_now(3).await.unwrap();
    let states = [FinalState::Stored, FinalState::NotFound, FinalState::Expired];
    let expected =
        vec![fields("batch_1", "stored"), fields("batch_2", "not_found"), fields("batch_3", "expired")];
    for settled in Delivery::ack_all(deliveries.into_iter().zip(states).collect()).await {
        assert_eq!(settled.unwrap(), Settled::Done);
    }
    assert_eq!(announced(&queue).await, expected);

    // Another worker has done the same work, and is too late.
    for delivery in late {
        assert_eq!(delivery.ack().await.unwrap(), Settled::Done);
    }
    assert_eq!(announced(&queue).await, expected);
}

#[tokio::test]
async fn an_event_without_an_object_is_announced_by_its_webhook_and_a_broken_entry_by_its_own_id() {
    let queue = TestQueue::start();
    let mut consumer = queue.consumer("a", LONG).await;
    let without = Entry { body: b"not JSON".to_vec(), ..entry("wh_1") };
    queue.producer.enqueue(FAMILY, &without).await.unwrap();
    let broken: String = queue.command("XADD events * v 1 id wh_2").await;
    one(&mut consumer).await.ack().await.unwrap();
    one(&mut consumer).await.dead_letter(Reason::UndecodableEntry, "broken", None).await.unwrap();
    assert_eq!(announced(&queue).await, [fields("wh_1", "stored"), fields(&broken, "dead")]);
}

#[tokio::test]
async fn a_dead_letter_is_announced_only_by_the_worker_that_writes_it() {
    let queue = TestQueue::start();
    add(&queue, "batch_1").await;
    let (mut slow, mut quick) = (queue.consumer("a", LONG).await, queue.consumer("b", Duration::ZERO).await);
    let (late, taken_over) = (one(&mut slow).await, one(&mut quick).await);
    assert_eq!(late.dead_letter(Reason::Rejected, "no", Some(7)).await.unwrap(), Settled::LeaseLost);
    assert!(announced(&queue).await.is_empty());
    taken_over.dead_letter(Reason::Rejected, "no", Some(7)).await.unwrap();
    assert_eq!(announced(&queue).await, [fields("batch_1", "dead")]);
    let letter = queue.admin.dead_letters(FAMILY, 10).await.unwrap().remove(0);
    assert_eq!((letter.reason, letter.file_expires_ms), (Some(Reason::Rejected), Some(7)));
}

#[tokio::test]
async fn a_retry_announces_nothing() {
    let queue = TestQueue::start();
    let mut consumer = queue.consumer("a", LONG).await;
    add(&queue, "batch_1").await;
    one(&mut consumer).await.retry_after(Duration::ZERO, Reason::NotFound, "404").await.unwrap();
    one(&mut consumer).await.release().await.unwrap();
    one(&mut consumer).await.snooze(LONG).await.unwrap();
    assert!(announced(&queue).await.is_empty());
}

#[tokio::test]
async fn about_the_newest_changes_are_kept() {
    let queue = TestQueue::start_without_disk();
    let fill = format!(
        "for i = 1, {} do redis.call('XADD', '{{landfall}}:changes', '*', 'kind', 'batch', 'id', 'b', 'state', 'stored') end",
        CHANGES_MAX + 5000
    );
    redis::cmd("EVAL").arg(fill).arg(0).query_async::<()>(&mut queue.raw().await).await.unwrap();
    add(&queue, "batch_1").await;
    one(&mut queue.consumer("a", LONG).await).await.ack().await.unwrap();
    let length: u64 = queue.command("XLEN {landfall}:changes").await;
    // Redis trims whole nodes.
    assert!((CHANGES_MAX..CHANGES_MAX + 200).contains(&length), "{length}");
}

#[tokio::test]
async fn a_key_that_was_overwritten_by_hand_stops_neither_ack_nor_dead_letter() {
    let queue = TestQueue::start();
    queue.command::<()>("SET {landfall}:changes x").await;
    let mut consumer = queue.consumer("a", LONG).await;
    for id in ["batch_1", "batch_2"] {
        add(&queue, id).await;
    }
    assert_eq!(one(&mut consumer).await.ack().await.unwrap(), Settled::Done);
    let dead = one(&mut consumer).await.dead_letter(Reason::Rejected, "no", None).await;
    assert_eq!(dead.unwrap(), Settled::Done);
    let stats = queue.stats().await;
    assert_eq!((stats.backlog(), stats.dead), (0, 1));
    let mut follower = ChangeFollower::after(&queue.config, ChangeId::default()).unwrap();
    assert!(!follower.next(Duration::from_millis(1)).await.unwrap_err().is_retryable());
}

#[tokio::test]
async fn a_follower_waits_for_changes_and_reads_them_in_order() {
    let queue = TestQueue::start();
    let mut consumer = queue.consumer("a", LONG).await;
    add(&queue, "batch_before").await;
    one(&mut consumer).await.ack().await.unwrap();

    let mut follower = ChangeFollower::from_now(&queue.config).await.unwrap();
    let start = follower.position();
    assert_eq!(follower.next(Duration::from_millis(1)).await.unwrap(), Followed::Changes(Vec::new()));
    let next = tokio::spawn(async move {
        let changed = follower.next(wait::DEADLINE).await.unwrap();
        (follower, changed)
    });
    blocked(&queue).await;
    add(&queue, "batch_1").await;
    let delivery = consumer.receive_now(1).await.unwrap().pop().unwrap();
    Delivery::ack_all(vec![(delivery, FinalState::Expired)]).await;
    let (follower, changed) = next.await.unwrap();
    let Followed::Changes(changes) = changed else { panic!("a gap") };
    let position = follower.position();
    let change = Change {
        id: position,
        kind: Family::Batch.into(),
        object_id: "batch_1".to_owned(),
        state: FinalState::Expired.into(),
    };
    assert_eq!((changes, position > start), (vec![change], true));

    // Another follower continues at any position.
    for id in ["batch_2", "batch_3"] {
        add(&queue, id).await;
        one(&mut consumer).await.ack().await.unwrap();
    }
    let mut second = ChangeFollower::after(&queue.config, start).unwrap();
    assert_eq!(next_ids(&mut second).await, ["batch_1", "batch_2", "batch_3"]);
    let mut all = ChangeFollower::after(&queue.config, ChangeId::default()).unwrap();
    assert_eq!(next_ids(&mut all).await.len(), 4);
}

#[tokio::test]
async fn a_follower_that_missed_changes_learns_it_and_continues() {
    let queue = TestQueue::start();
    let mut consumer = queue.consumer("a", LONG).await;
    let mut follower = ChangeFollower::from_now(&queue.config).await.unwrap();
    for id in ["batch_1", "batch_2", "batch_3"] {
        add(&queue, id).await;
        one(&mut consumer).await.ack().await.unwrap();
        if id == "batch_1" {
            assert_eq!(next_ids(&mut follower).await, ["batch_1"]);
        }
    }
    queue.command::<u64>("XTRIM {landfall}:changes MAXLEN 1").await;
    assert_eq!(follower.next(LONG).await.unwrap(), Followed::Gap);
    add(&queue, "batch_4").await;
    one(&mut consumer).await.ack().await.unwrap();
    assert_eq!(next_ids(&mut follower).await, ["batch_4"]);

    // A position from the start knows as well that something is missing.
    let mut all = ChangeFollower::after(&queue.config, ChangeId::default()).unwrap();
    assert_eq!(all.next(LONG).await.unwrap(), Followed::Gap);
    queue.command::<()>("FLUSHALL").await;
    assert_eq!(follower.next(Duration::from_millis(1)).await.unwrap(), Followed::Gap);
    assert_eq!(follower.position(), ChangeId::default());
    let change = "XADD {landfall}:changes 1-1 kind batch id batch_5 state stored";
    queue.command::<String>(change).await;
    assert_eq!(next_ids(&mut follower).await, ["batch_5"]);
}

#[tokio::test]
async fn a_follower_continues_where_it_was_after_a_restart_of_redis() {
    let mut queue = TestQueue::start();
    let mut follower = ChangeFollower::from_now(&queue.config).await.unwrap();
    add(&queue, "batch_1").await;
    one(&mut queue.consumer("a", LONG).await).await.ack().await.unwrap();
    queue.server.kill();
    assert!(follower.next(LONG).await.unwrap_err().is_retryable());
    queue.server.resume();
    assert_eq!(next_ids(&mut follower).await, ["batch_1"]);
}
