//! The outcomes of a delivery, and the state that each leaves.

use std::time::Duration;

use queue::{EntryError, Settled};
use test_support::redis::RedisServer;
use webhook::Reason;

use crate::harness::{FAMILY, LONG, TestQueue, entry, nothing, one, webhook_id};

#[tokio::test]
async fn a_delivery_carries_its_entry_byte_for_byte() {
    let queue = TestQueue::start();
    let mut sent = entry("wh_1");
    sent.body = (0..=255).collect();
    sent.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    sent.replay_of = Some("wh_0".to_owned());
    queue.producer.enqueue(FAMILY, &sent).await.unwrap();
    let delivery = one(&mut queue.consumer("a", LONG).await).await;
    assert_eq!(delivery.content, Ok(sent.into()));
    assert_eq!((delivery.attempt, delivery.crashes), (1, 0));
    assert_eq!((&delivery.first_error, &delivery.last_error), (&None, &None));
    assert!(!delivery.lease_lost().is_cancelled());
}

#[tokio::test]
async fn the_newer_redis_protocol_works_as_well() {
    let server = RedisServer::start();
    let url = format!("{}/?protocol=resp3", server.url());
    let queue = TestQueue::at(server, url);
    queue.add("wh_1").await;
    let mut consumer = queue.consumer("a", LONG).await;
    let first = one(&mut consumer).await;
    assert_eq!(first.content, Ok(entry("wh_1").into()));
    first.retry_after(Duration::ZERO, Reason::NotFound, "404").await.unwrap();
    let second = one(&mut consumer).await;
    assert_eq!((&second.content, second.attempt), (&Ok(entry("wh_1").into()), 2));
    assert_eq!(queue.stats().await.pending, 1);
    second.dead_letter(Reason::Rejected, "400", None).await.unwrap();
    assert_eq!(queue.stats().await.dead, 1);
    let letters = queue.admin.dead_letters(FAMILY, 1).await.unwrap();
    assert_eq!(letters[0].content, Ok(entry("wh_1")));
}

#[tokio::test]
async fn a_retry_comes_back_with_the_next_attempt_and_its_errors() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let mut consumer = queue.consumer("a", LONG).await;
    let first = one(&mut consumer).await;
    let settled = first.retry_after(Duration::ZERO, Reason::RateLimited, "429 from OpenAI").await;
    assert_eq!(settled.unwrap(), Settled::Done);
    let second = one(&mut consumer).await;
    assert_eq!((second.attempt, second.crashes, webhook_id(&second)), (2, 0, "wh_1"));
    assert_eq!(second.last_error.as_deref(), Some("rate_limited: 429 from OpenAI"));
    second.retry_after(Duration::ZERO, Reason::OpenaiUnavailable, "500").await.unwrap();
    let third = one(&mut consumer).await;
    assert_eq!(third.attempt, 3);
    assert_eq!(third.first_error.as_deref(), Some("rate_limited: 429 from OpenAI"));
    assert_eq!(third.last_error.as_deref(), Some("openai_unavailable: 500"));
}

#[tokio::test]
async fn a_retry_is_not_taken_before_it_is_due() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let mut consumer = queue.consumer("a", LONG).await;
    let delay = Duration::from_millis(1500);
    one(&mut consumer).await.retry_after(delay, Reason::NotFound, "404").await.unwrap();
    let put_back = tokio::time::Instant::now();
    nothing(&mut consumer).await;
    one(&mut consumer).await.ack().await.unwrap();
    let waited = put_back.elapsed();
    assert!(waited > delay - Duration::from_millis(200), "{waited:?}");
}

#[tokio::test]
async fn an_excessive_delay_is_limited_to_a_week() {
    let queue = TestQueue::start();
    let id = queue.add("wh_1").await;
    one(&mut queue.consumer("a", LONG).await).await.snooze(Duration::MAX).await.unwrap();
    let due: f64 = queue.command(&format!("ZSCORE delayed {id}")).await;
    let added: f64 = id.split('-').next().unwrap().parse().unwrap();
    let days = (due - added) / 86_400_000.0;
    assert!((7.0..7.01).contains(&days), "{days}");
}

#[tokio::test]
async fn a_snooze_costs_no_attempt() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let mut consumer = queue.consumer("a", LONG).await;
    for _ in 0..3 {
        let delivery = one(&mut consumer).await;
        assert_eq!((delivery.attempt, delivery.crashes, &delivery.last_error), (1, 0, &None));
        assert_eq!(delivery.snooze(Duration::from_millis(1)).await.unwrap(), Settled::Done);
    }
}

#[tokio::test]
async fn a_released_delivery_is_due_at_once_for_others_and_counts_as_nothing() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let (mut stopping, mut other) = (queue.consumer("a", LONG).await, queue.consumer("b", LONG).await);
    let delivery = one(&mut stopping).await;
    assert_eq!(delivery.release().await.unwrap(), Settled::Done);
    stopping.remove().await;
    let taken = other.receive_now(1).await.unwrap();
    assert_eq!(taken.iter().map(|d| (d.attempt, d.crashes)).collect::<Vec<_>>(), [(1, 0)]);
}

#[tokio::test]
async fn a_consumer_that_holds_nothing_leaves_no_name() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let (mut a, b) = (queue.consumer("a", LONG).await, queue.consumer("b", LONG).await);
    let unsettled = one(&mut a).await;
    a.remove().await;
    b.remove().await;
    let names: Vec<Vec<redis::Value>> = queue.command("XINFO CONSUMERS events workers").await;
    assert_eq!(names.len(), 1, "a's delivery is unsettled: {names:?}");
    assert_eq!(unsettled.ack().await.unwrap(), Settled::Done);
}

#[tokio::test]
async fn an_ack_leaves_nothing_and_may_be_repeated_by_another_consumer() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let (mut slow, mut quick) = (queue.consumer("a", LONG).await, queue.consumer("b", Duration::ZERO).await);
    let late = one(&mut slow).await;
    one(&mut quick).await.ack().await.unwrap();
    assert_eq!(late.ack().await.unwrap(), Settled::Done);
    assert_eq!(queue.stats().await.backlog(), 0);
}

#[tokio::test]
async fn the_late_ack_of_a_lost_lease_ends_the_retry_of_the_one_who_took_over() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let (mut slow, mut quick) = (queue.consumer("a", LONG).await, queue.consumer("b", Duration::ZERO).await);
    let late = one(&mut slow).await;
    let taken_over = one(&mut quick).await;
    taken_over.retry_after(LONG, Reason::TimedOut, "slow").await.unwrap();
    assert_eq!(late.ack().await.unwrap(), Settled::Done);
    nothing(&mut quick).await;
    assert_eq!(queue.stats().await.backlog(), 0);
}

#[tokio::test]
async fn an_entry_of_a_newer_version_and_one_without_fields_are_deliveries_too() {
    let queue = TestQueue::start();
    let mut consumer = queue.consumer("a", LONG).await;
    queue.command::<String>("XADD events * v 2 envelope x").await;
    queue.command::<String>("XADD events * v 1 id wh_1").await;
    let newer = one(&mut consumer).await;
    assert_eq!(newer.content, Err(EntryError::NewerVersion { version: 2 }));
    assert_eq!(newer.snooze(LONG).await.unwrap(), Settled::Done);
    let broken = one(&mut consumer).await;
    assert_eq!(broken.content, Err(EntryError::MissingField("project")));
}

#[tokio::test]
async fn a_thousand_events_leave_nothing_but_their_dedupe_records_and_changes() {
    let queue = TestQueue::on(RedisServer::start_with(&[]));
    let mut consumer = queue.consumer("a", LONG).await;
    for round in 0..1000 {
        queue.add(&format!("wh_{round}")).await;
        let delivery = consumer.receive_now(1).await.unwrap().pop().unwrap();
        match round % 3 {
            0 => drop(delivery.ack().await.unwrap()),
            1 => {
                delivery.retry_after(Duration::ZERO, Reason::NotFound, "404").await.unwrap();
                one(&mut consumer).await.ack().await.unwrap();
            }
            _ => {
                delivery.release().await.unwrap();
                one(&mut consumer).await.ack().await.unwrap();
            }
        };
    }
    let mut keys: Vec<String> = queue.command("KEYS *").await;
    keys.retain(|key| !key.starts_with("{landfall}:seen"));
    keys.sort();
    assert_eq!(keys, ["{landfall}:changes", "{landfall}:events:batch"]);
    assert_eq!(queue.command::<u64>("XLEN events").await, 0);
}
