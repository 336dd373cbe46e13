//! Rows of `events`: from the first delivery to the final state.

use std::time::Duration;

use chrono::TimeDelta;
use store::{Attempt, AttemptOutcome, Completion, EventFilter, EventRecord, Failure};
use webhook::{EventState, Reason};

use crate::fixture::Fixture;
use crate::samples::{at, completion, event};

async fn the_event(fixture: &Fixture) -> EventRecord {
    fixture.store.list_events(&EventFilter::default()).await.unwrap().pop().unwrap()
}

pub(crate) fn failure(state: EventState, attempts: u32) -> Failure {
    Failure {
        project: "default".to_owned(),
        webhook_id: "wh_1".to_owned(),
        attempts,
        state,
        reason: Reason::RateLimited,
        notifications: Vec::new(),
        attempt: None,
        error: "429: slow down".to_owned(),
    }
}

pub(crate) async fn the_first_delivery_inserts_and_later_ones_count_attempts(fixture: Fixture) {
    let new = event("wh_1", "resp_1");
    assert_eq!(fixture.store.record_delivery(&new, 1).await.unwrap(), EventState::Received);
    fixture.store.fail_event(&failure(EventState::Retrying, 1)).await.unwrap();
    assert_eq!(fixture.store.record_delivery(&new, 2).await.unwrap(), EventState::Retrying);
    let row = the_event(&fixture).await;
    assert_eq!(
        (row.state, row.attempts, row.reason),
        (EventState::Retrying.into(), 2, Some(Reason::RateLimited.into()))
    );
    assert_eq!((row.last_error.as_deref(), row.processed_at), (Some("429: slow down"), None));
    assert_eq!((row.created_at, row.received_at, row.body), (new.created_at, new.received_at, new.body));
}

pub(crate) async fn a_stored_event_never_changes_its_state(fixture: Fixture) {
    let new = event("wh_1", "resp_1");
    fixture.store.record_delivery(&new, 1).await.unwrap();
    fixture.store.complete_event(&completion("wh_1")).await.unwrap();
    let before = fixture.dump("events").await;
    assert_eq!(fixture.store.record_delivery(&new, 3).await.unwrap(), EventState::Stored);
    for state in [EventState::Retrying, EventState::Dead] {
        fixture.store.fail_event(&failure(state, 3)).await.unwrap();
    }
    let mut again = completion("wh_1");
    (again.attempts, again.processed_at, again.reason) = (3, at(99), Some(Reason::NotFound));
    fixture.store.complete_event(&again).await.unwrap();
    assert_eq!(fixture.dump("events").await, before);
}

pub(crate) async fn an_event_without_an_object_is_stored_once_in_one_transaction(fixture: Fixture) {
    let new = event("wh_1", "asess_1");
    fixture.store.save_event(&new, &completion("wh_1")).await.unwrap();
    let row = the_event(&fixture).await;
    assert_eq!((row.state, row.attempts, row.body), (EventState::Stored.into(), 1, new.body.clone()));
    assert!(row.processed_at.is_some());
    let before = fixture.dump("events").await;
    fixture.store.save_event(&new, &completion("wh_1")).await.unwrap();
    assert_eq!(fixture.dump("events").await, before);

    // An event that failed earlier, because the database was down.
    fixture.store.record_delivery(&event("wh_2", "asess_2"), 1).await.unwrap();
    fixture.store.save_event(&event("wh_2", "asess_2"), &completion("wh_2")).await.unwrap();
    assert!(
        fixture
            .store
            .list_events(&EventFilter::default())
            .await
            .unwrap()
            .iter()
            .all(|row| row.state == EventState::Stored)
    );
}

pub(crate) async fn a_dead_event_can_still_be_stored(fixture: Fixture) {
    let new = event("wh_1", "resp_1");
    fixture.store.record_delivery(&new, 4).await.unwrap();
    fixture.store.fail_event(&failure(EventState::Dead, 4)).await.unwrap();
    // After a redrive the attempts restart at 1; the row keeps the higher number.
    assert_eq!(fixture.store.record_delivery(&new, 1).await.unwrap(), EventState::Dead);
    fixture.store.complete_event(&completion("wh_1")).await.unwrap();
    let row = the_event(&fixture).await;
    assert_eq!((row.state, row.attempts), (EventState::Stored.into(), 4));
    assert_eq!((row.reason, row.last_error, row.processed_at), (None, None, Some(at(10))));
}

pub(crate) async fn odd_bodies_are_read_byte_for_byte(fixture: Fixture) {
    let bodies: [&[u8]; 6] =
        [b"", b"\xff\xfe\x00", b"not json", br#"{"a":"\u0000"}"#, b"{\"a\":\"\0\"}", br#"{ "a" : 1.50 }"#];
    for (index, body) in bodies.iter().enumerate() {
        let mut new = event(&format!("wh_{index}"), "x");
        new.body = body.to_vec();
        (new.event_id, new.object_id) = (Some("evt\0".to_owned()), Some("a\0b".to_owned()));
        fixture.store.record_delivery(&new, 1).await.unwrap();
    }
    let mut rows = fixture.store.list_events(&EventFilter::default()).await.unwrap();
    rows.sort_by(|a, b| a.webhook_id.cmp(&b.webhook_id));
    assert_eq!(rows.iter().map(|row| row.body.as_slice()).collect::<Vec<_>>(), bodies);
    assert!(rows.iter().all(|row| row.object_id.as_deref() == Some("a\u{FFFD}b")));
    // The JSON column only holds text that JSON functions accept.
    let json = fixture.select("SELECT body FROM events WHERE body IS NOT NULL").await;
    assert_eq!(json, [[Some(r#"{ "a" : 1.50 }"#.to_owned())]]);
}

pub(crate) async fn a_long_error_is_truncated(fixture: Fixture) {
    fixture.store.record_delivery(&event("wh_1", "resp_1"), 1).await.unwrap();
    let mut long = failure(EventState::Retrying, 1);
    long.error = "ä".repeat(100_000);
    fixture.store.fail_event(&long).await.unwrap();
    assert_eq!(the_event(&fixture).await.last_error.unwrap().chars().count(), 2000);
}

fn attempt(received_secs: i64, started_secs: i64) -> Attempt {
    Attempt {
        worker: "host-1".to_owned(),
        received_at: at(received_secs),
        started_at: at(started_secs),
        duration: Duration::from_millis(1500),
        http_status: Some(429),
        request_id: Some("req_\0".to_owned()),
    }
}

pub(crate) async fn attempts_are_recorded_unless_the_first_one_stores_the_event(fixture: Fixture) {
    let store = &fixture.store;
    let (first, third) = (attempt(0, 1), attempt(0, 30));
    store.record_delivery(&event("wh_1", "resp_1"), 1).await.unwrap();
    let failed = Failure { attempt: Some(first.clone()), ..failure(EventState::Retrying, 1) };
    store.fail_event(&failed).await.unwrap();
    // Released without an attempt: no row. The second attempt could not be recorded.
    store.fail_event(&failure(EventState::Retrying, 1)).await.unwrap();
    let done = Completion { attempts: 3, attempt: Some(third.clone()), ..completion("wh_1") };
    store.complete_event(&done).await.unwrap();
    let found = store.event_attempts("default", "wh_1").await.unwrap();
    assert_eq!(found.iter().map(|found| found.attempt).collect::<Vec<_>>(), [1, 3]);
    let [found, last] = &found[..] else { panic!() };
    assert_eq!((found.started_at, found.duration_ms, found.worker.as_str()), (at(1), 1500, "host-1"));
    assert_eq!((found.http_status, found.request_id.as_deref()), (Some(429), Some("req_\u{FFFD}")));
    assert!(found.outcome == AttemptOutcome::Retry && last.outcome == AttemptOutcome::Stored);
    assert_eq!(
        fixture.select("SELECT reason FROM event_attempts ORDER BY attempt").await[0][0].as_deref(),
        Some("rate_limited")
    );

    // Later calls change nothing, and an event that is stored at once has no attempts.
    store.fail_event(&failed).await.unwrap();
    store.complete_event(&done).await.unwrap();
    store.record_delivery(&event("wh_2", "resp_1"), 1).await.unwrap();
    store.complete_event(&Completion { attempt: Some(first), ..completion("wh_2") }).await.unwrap();
    assert_eq!(fixture.dump("event_attempts").await.len(), 2);
}

pub(crate) async fn the_first_10_and_the_last_50_attempts_are_kept(fixture: Fixture) {
    let store = &fixture.store;
    store.record_delivery(&event("wh_1", "resp_1"), 1).await.unwrap();
    let fail = async |number: u32, received_secs: i64| {
        let attempt = attempt(received_secs, received_secs + i64::from(number));
        let failed = Failure { attempt: Some(attempt), ..failure(EventState::Retrying, number) };
        store.fail_event(&failed).await.unwrap();
    };
    for number in 1..=100 {
        fail(number, 0).await;
    }
    let numbers = async || {
        let found = store.event_attempts("default", "wh_1").await.unwrap();
        found.into_iter().map(|found| found.attempt).collect::<Vec<_>>()
    };
    assert_eq!(numbers().await, (1..=10).chain(51..=100).collect::<Vec<_>>());
    let first = async |since: i64| store.first_attempt_at("default", "wh_1", at(since)).await.unwrap();
    assert_eq!((first(0).await, first(101).await), (Some(at(1)), None));

    // After a replay the queue counts from 1 again, and the first attempt since then is kept too.
    for number in 1..=80 {
        fail(number, 1000).await;
    }
    assert_eq!(numbers().await, (1..=10).chain([101]).chain(131..=180).collect::<Vec<_>>());
    assert_eq!((first(0).await, first(1000).await), (Some(at(1)), Some(at(1001))));
    assert_eq!(first(1000).await.unwrap() - at(1000), TimeDelta::seconds(1));
}
