//! `landfall tail`: its output while it runs, and its exit.

use serde_json::Value;
use store::{Completion, Failure};
use test_support::wait;
use webhook::{EventState, Reason};

use crate::command::landfall;
use crate::filled::Filled;
use crate::running::Running;

async fn fail(filled: &Filled, done: &Completion, state: EventState, attempts: u32) {
    let failure = Failure {
        project: done.project.clone(),
        webhook_id: done.webhook_id.clone(),
        attempts,
        state,
        reason: Reason::RateLimited,
        notifications: Vec::new(),
        attempt: None,
        error: format!("429: slow down {}", "please ".repeat(30)),
    };
    filled.store.fail_event(&failure).await.unwrap();
}

async fn events_and_changes_of_state_are_printed_as_they_happen(filled: Filled) {
    let open = filled.add_event("wh_open", "response.completed", Some("resp_open"), 30).await;
    let tail = Running::start(&filled, &["tail", "-n", "3"]);
    tail.wait_for("evalrun_1").await;

    filled.store.complete_event(&open).await.unwrap();
    tail.wait_for("stored    response.completed         resp_open").await;
    let new = filled.add_event("wh_new", "batch.failed", Some("batch_new"), 7_000_000).await;
    tail.wait_for("received  batch.failed               batch_new").await;
    fail(&filled, &new, EventState::Retrying, 2).await;
    tail.wait_for("retrying  batch.failed               batch_new").await;
    tail.wait_for("          attempt 2: rate_limited: 429: slow down").await;
    fail(&filled, &new, EventState::Dead, 3).await;
    tail.wait_for("dead      batch.failed               batch_new").await;
    filled.store.complete_event(&new).await.unwrap();
    tail.wait_for("stored    batch.failed               batch_new").await;

    let (code, lines) = tail.interrupt();
    assert_eq!(code, 0);
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
    let shown = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
    assert_eq!((shown("batch_new"), shown("resp_open")), (4, 2), "each state once: {lines:#?}");
    assert_eq!(shown("ftjob-1"), 1, "of the three newest: {lines:#?}");
    assert_eq!(shown("batch_1"), 0, "older than the three newest: {lines:#?}");
}

async fn a_family_can_be_followed_alone_and_json_is_the_row(filled: Filled) {
    let tail = Running::start(&filled, &["tail", "--family", "batch", "-n", "1", "--json"]);
    tail.wait_for("wh_batch").await;
    let other = filled.add_event("wh_other", "response.failed", None, 0).await;
    filled.store.complete_event(&other).await.unwrap();
    let done = filled.add_event("wh_mine", "batch.expired", Some("batch_2"), 0).await;
    tail.wait_for("wh_mine").await;
    filled.store.complete_event(&done).await.unwrap();
    tail.wait_for("\"state\":\"stored\",\"reason\":null,\"last_error\":null").await;
    wait::until("the last state", async || (tail.lines().len() == 3).then_some(())).await;
    let (code, lines) = tail.interrupt();
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(code, 0);
    let states: Vec<_> = lines.iter().map(|line| (&line["webhook_id"], &line["state"])).collect();
    let expected = [("wh_batch", "stored"), ("wh_mine", "received"), ("wh_mine", "stored")];
    assert!(states.iter().zip(expected).all(|((id, state), e)| **id == e.0 && **state == e.1), "{states:?}");
}

#[test]
fn without_a_database_there_is_nothing_to_follow() {
    let ended = landfall(&[("DATABASE_URL", "sqlite://no/such.db")], &["tail"]).with_code(3);
    assert!(ended.stderr.contains("there is no database"), "{ended:#?}");
}

on_both_databases!(
    events_and_changes_of_state_are_printed_as_they_happen,
    a_family_can_be_followed_alone_and_json_is_the_row
);
