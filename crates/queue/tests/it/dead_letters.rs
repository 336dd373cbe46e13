//! Given-up entries become dead letters, with their reasons.

use std::time::Duration;

use queue::{EntryError, Settled};
use webhook::{Family, Reason};

use crate::harness::{FAMILY, LONG, TestQueue, entry, one};

#[tokio::test]
async fn a_dead_letter_keeps_the_entry_its_attempts_and_errors() {
    let queue = TestQueue::start();
    let id = queue.add("wh_1").await;
    let mut consumer = queue.consumer("a", LONG).await;
    one(&mut consumer).await.retry_after(Duration::ZERO, Reason::OpenaiUnavailable, "500").await.unwrap();
    let settled =
        one(&mut consumer).await.dead_letter(Reason::PolicyViolation, "403: not allowed", None).await;
    assert_eq!(settled.unwrap(), Settled::Done);

    let letters = queue.admin.dead_letters(FAMILY, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!(letter.content, Ok(entry("wh_1")));
    assert_eq!((letter.reason, letter.attempts, letter.crashes), (Some(Reason::PolicyViolation), 2, 0));
    assert_eq!(letter.first_error.as_deref(), Some("openai_unavailable: 500"));
    assert_eq!(letter.last_error.as_deref(), Some("policy_violation: 403: not allowed"));
    let added_ms: i64 = id.split('-').next().unwrap().parse().unwrap();
    assert!((0..60_000).contains(&(letter.died_ms - added_ms)), "{letter:?}");

    let stats = queue.stats().await;
    assert_eq!((stats.backlog(), stats.dead, stats.oldest_ms), (0, 1, None));
    assert!(!queue.command::<bool>("EXISTS attempts").await);
}

#[tokio::test]
async fn a_first_failure_is_both_first_and_last_error() {
    let queue = TestQueue::start();
    queue.add("wh_1").await;
    let mut consumer = queue.consumer("a", LONG).await;
    one(&mut consumer).await.dead_letter(Reason::Rejected, "400", None).await.unwrap();
    let letter = queue.admin.dead_letters(FAMILY, 1).await.unwrap().pop().unwrap();
    assert_eq!((letter.attempts, &letter.first_error), (1, &letter.last_error));
}

#[tokio::test]
async fn an_undecodable_entry_is_stored_unchanged() {
    let queue = TestQueue::start();
    let mut consumer = queue.consumer("a", LONG).await;
    queue.command::<String>("XADD events * v 1 stray field").await;
    one(&mut consumer).await.dead_letter(Reason::UndecodableEntry, "no id", None).await.unwrap();
    let letter = queue.admin.dead_letters(FAMILY, 1).await.unwrap().pop().unwrap();
    assert_eq!(letter.content, Err(EntryError::MissingField("id")));
    let raw: Vec<(String, Vec<String>)> = queue.command("XRANGE dead - +").await;
    assert_eq!(raw[0].1[..4], ["v", "1", "stray", "field"]);
}

#[tokio::test]
async fn the_newest_come_first_and_only_as_many_as_asked_for() {
    let queue = TestQueue::start();
    let mut consumer = queue.consumer("a", LONG).await;
    for id in ["wh_1", "wh_2", "wh_3"] {
        queue.add(id).await;
        one(&mut consumer).await.dead_letter(Reason::Rejected, "400", None).await.unwrap();
    }
    let letters = queue.admin.dead_letters(FAMILY, 2).await.unwrap();
    let ids: Vec<_> =
        letters.iter().map(|letter| letter.content.as_ref().unwrap().webhook_id.as_str()).collect();
    assert_eq!(ids, ["wh_3", "wh_2"]);
    assert!(queue.admin.dead_letters(FAMILY, 0).await.unwrap().is_empty());
    assert!(queue.admin.dead_letters(Family::Safety, 2).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_reason_of_a_newer_version_does_not_hide_the_letter() {
    let queue = TestQueue::start();
    queue.command::<String>("XADD dead * v 1 id wh_1 _reason asteroid _attempts 3").await;
    let letter = queue.admin.dead_letters(FAMILY, 1).await.unwrap().pop().unwrap();
    assert_eq!((letter.reason, letter.attempts), (None, 3));
}
