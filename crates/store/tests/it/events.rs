//! Rows of `events`: from the first delivery to the last word.

use store::{EventFilter, EventRecord, Failure};
use webhook::{EventState, Reason};

use crate::fixture::Fixture;
use crate::samples::{at, completion, event};

async fn the_event(fixture: &Fixture) -> EventRecord {
    fixture.store.list_events(&EventFilter::default()).await.unwrap().pop().unwrap()
}

fn failure(state: EventState, attempts: u32) -> Failure {
    Failure {
        project: "default".to_owned(),
        webhook_id: "wh_1".to_owned(),
        attempts,
        state,
        reason: Reason::RateLimited,
        notifications: Vec::new(),
        error: "429: slow down".to_owned(),
    }
}

pub(crate) async fn the_first_delivery_inserts_and_later_ones_count_attempts(fixture: Fixture) {
    let new = event("wh_1", "resp_1");
    assert_eq!(fixture.store.record_delivery(&new, 1).await.unwrap(), EventState::Received);
    fixture.store.fail_event(&failure(EventState::Retrying, 1)).await.unwrap();
    assert_eq!(fixture.store.record_delivery(&new, 2).await.unwrap(), EventState::Retrying);
    let row = the_event(&fixture).await;
    assert_eq!((row.state, row.attempts, row.reason), (EventState::Retrying, 2, Some(Reason::RateLimited)));
    assert_eq!((row.last_error.as_deref(), row.processed_at), (Some("429: slow down"), None));
    assert_eq!((row.created_at, row.received_at, row.body), (new.created_at, new.received_at, new.body));
}

pub(crate) async fn a_stored_event_is_never_turned_back(fixture: Fixture) {
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

pub(crate) async fn an_event_with_nothing_to_fetch_is_kept_in_one_step_and_only_once(fixture: Fixture) {
    let new = event("wh_1", "asess_1");
    fixture.store.keep_event(&new, &completion("wh_1")).await.unwrap();
    let row = the_event(&fixture).await;
    assert_eq!((row.state, row.attempts, row.body), (EventState::Stored, 1, new.body.clone()));
    assert!(row.processed_at.is_some());
    let before = fixture.dump("events").await;
    fixture.store.keep_event(&new, &completion("wh_1")).await.unwrap();
    assert_eq!(fixture.dump("events").await, before);

    // One that failed before, because the database was away.
    fixture.store.record_delivery(&event("wh_2", "asess_2"), 1).await.unwrap();
    fixture.store.keep_event(&event("wh_2", "asess_2"), &completion("wh_2")).await.unwrap();
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
    // Redriven: attempts are counted anew, the row keeps the higher number.
    assert_eq!(fixture.store.record_delivery(&new, 1).await.unwrap(), EventState::Dead);
    fixture.store.complete_event(&completion("wh_1")).await.unwrap();
    let row = the_event(&fixture).await;
    assert_eq!((row.state, row.attempts), (EventState::Stored, 4));
    assert_eq!((row.reason, row.last_error, row.processed_at), (None, None, Some(at(10))));
}

pub(crate) async fn odd_bodies_come_back_byte_for_byte(fixture: Fixture) {
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
    // The JSON column only holds what JSON functions take.
    let json = fixture.select("SELECT body FROM events WHERE body IS NOT NULL").await;
    assert_eq!(json, [[Some(r#"{ "a" : 1.50 }"#.to_owned())]]);
}

pub(crate) async fn a_long_error_is_cut(fixture: Fixture) {
    fixture.store.record_delivery(&event("wh_1", "resp_1"), 1).await.unwrap();
    let mut long = failure(EventState::Retrying, 1);
    long.error = "ä".repeat(100_000);
    fixture.store.fail_event(&long).await.unwrap();
    assert_eq!(the_event(&fixture).await.last_error.unwrap().chars().count(), 2000);
}
