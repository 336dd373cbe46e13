//! Dead letters are redriven or discarded atomically, and completed events stay completed.

use queue::{Enqueued, Settled};
use webhook::Reason;

use crate::harness::{FAMILY, LONG, TestQueue, entry, nothing, one, webhook_id};

/// Adds an event that failed once and was then given up. Returns the id of its dead letter.
async fn one_dead(queue: &TestQueue, id: &str) -> String {
    queue.add(id).await;
    let mut consumer = queue.consumer("a", LONG).await;
    one(&mut consumer).await.retry_after(std::time::Duration::ZERO, Reason::TimedOut, "slow").await.unwrap();
    let delivery = one(&mut consumer).await;
    let settled = delivery.dead_letter(Reason::Rejected, "400", Some(1_900_000_000_000)).await.unwrap();
    assert_eq!(settled, Settled::Done);
    queue.admin.dead_letters(FAMILY, 1).await.unwrap()[0].id.clone()
}

async fn records(queue: &TestQueue) -> Vec<(String, Vec<String>)> {
    queue.command(&format!("XRANGE {} - +", queue.keys.records())).await
}

#[tokio::test]
async fn a_redriven_letter_is_a_new_entry_that_dedupe_does_not_swallow() {
    let queue = TestQueue::start();
    let dead_id = one_dead(&queue, "wh_1").await;
    let letter = &queue.admin.dead_letters(FAMILY, 1).await.unwrap()[0];
    assert_eq!(letter.file_expires_ms, Some(1_900_000_000_000));

    let entry_id = queue.admin.redrive(FAMILY, &dead_id).await.unwrap().unwrap();
    assert_ne!(entry_id, letter.entry_id);
    assert_eq!(queue.stats().await.dead, 0);
    let mut consumer = queue.consumer("b", LONG).await;
    let delivery = one(&mut consumer).await;
    assert_eq!((delivery.attempt, delivery.crashes, &delivery.entry_id), (1, 0, &entry_id));
    assert_eq!((&delivery.first_error, &delivery.last_error), (&None, &None));
    let (redriven, first) = (delivery.content.as_ref().unwrap(), entry("wh_1"));
    assert!(redriven.received_ms > first.received_ms, "the retry period did not restart");
    assert_eq!(queue::Entry { received_ms: first.received_ms, ..queue::Entry::clone(redriven) }, first);
    delivery.ack().await.unwrap();

    assert_eq!(queue.admin.redrive(FAMILY, &dead_id).await.unwrap(), None, "once");
    nothing(&mut consumer).await;
    // The dedupe record, which drops OpenAI's retries, is kept.
    assert_eq!(queue.producer.enqueue(FAMILY, &first).await.unwrap(), Enqueued::Duplicate);
    let records = records(&queue).await;
    assert_eq!(records.len(), 1);
    let expected = [
        "action",
        "redrive",
        "family",
        "batch",
        "dead_id",
        &dead_id,
        "entry_id",
        &entry_id,
        "webhook_id",
        "wh_1",
    ];
    assert_eq!(records[0].1[..10], expected);
    assert_eq!(records[0].1[10..], ["type", "batch.completed", "reason", "rejected"]);
}

#[tokio::test]
async fn a_discarded_letter_is_gone_and_on_record() {
    let queue = TestQueue::start();
    let dead_id = one_dead(&queue, "wh_1").await;
    assert!(queue.admin.discard(FAMILY, &dead_id).await.unwrap());
    assert!(!queue.admin.discard(FAMILY, &dead_id).await.unwrap());
    assert_eq!(queue.admin.redrive(FAMILY, &dead_id).await.unwrap(), None);
    let stats = queue.stats().await;
    assert_eq!((stats.dead, stats.backlog()), (0, 0));
    let records = records(&queue).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].1[..2], ["action", "discard"]);
}

#[tokio::test]
async fn an_entry_that_cannot_be_decoded_comes_back_as_it_was() {
    let queue = TestQueue::start();
    let mut consumer = queue.consumer("a", LONG).await;
    queue.command::<String>("XADD events * v 1 id wh_odd colour blue").await;
    one(&mut consumer).await.dead_letter(Reason::UndecodableEntry, "no project", None).await.unwrap();
    let dead_id = queue.admin.dead_letters(FAMILY, 1).await.unwrap()[0].id.clone();
    let entry_id = queue.admin.redrive(FAMILY, &dead_id).await.unwrap().unwrap();
    let entries: Vec<(String, Vec<String>)> = queue.command("XRANGE events - +").await;
    let fields = ["v", "1", "id", "wh_odd", "colour", "blue"].map(str::to_owned).to_vec();
    assert_eq!(entries, [(entry_id, fields)]);
}

#[tokio::test]
async fn letters_are_paged_from_the_oldest() {
    let queue = TestQueue::start();
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(one_dead(&queue, &format!("wh_{number}")).await);
    }
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = queue.admin.dead_letters_after(FAMILY, after.as_deref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        seen.extend(page.into_iter().map(|letter| letter.id));
    }
    assert_eq!(seen, ids);

    let newest = queue.admin.dead_letters_before(FAMILY, None, 2).await.unwrap();
    let older = queue.admin.dead_letters_before(FAMILY, Some(&newest[1].id), 9).await.unwrap();
    let backwards: Vec<&str> = newest.iter().chain(&older).map(|letter| letter.id.as_str()).collect();
    assert_eq!(backwards, ids.iter().rev().map(String::as_str).collect::<Vec<_>>());
    let one = queue.admin.dead_letter(FAMILY, &ids[2]).await.unwrap().unwrap();
    assert_eq!(one.id, ids[2]);
    assert!(queue.admin.dead_letter(FAMILY, "1-1").await.unwrap().is_none());
}

#[tokio::test]
async fn a_full_redis_refuses_a_redrive_whole_and_still_discards() {
    let queue = TestQueue::start();
    let ids = [one_dead(&queue, "wh_1").await, one_dead(&queue, "wh_2").await];
    queue.command::<()>("CONFIG SET maxmemory 1mb").await;
    let error = queue.admin.redrive(FAMILY, &ids[0]).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    let stats = queue.stats().await;
    assert_eq!((stats.dead, stats.backlog()), (2, 0));
    assert!(queue.admin.discard(FAMILY, &ids[1]).await.unwrap());
    queue.command::<()>("CONFIG SET maxmemory 0").await;
    let mut consumer = queue.consumer("b", LONG).await;
    queue.admin.redrive(FAMILY, &ids[0]).await.unwrap().unwrap();
    assert_eq!(webhook_id(&one(&mut consumer).await), "wh_1");
}
