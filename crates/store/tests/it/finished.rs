//! Group commit: finished events with their responses and notifications, in one transaction.

use store::{Attempt, Completion, FinishedEvent, ResponseRecord};
use webhook::{EventState, Reason};

use crate::events::failure;
use crate::fixture::Fixture;
use crate::notifications::new;
use crate::samples::{at, completion, event, response};
use crate::values::refuse;

/// More than one statement of each size.
const EVENTS: usize = 5 * 16 + 2 * 4 + 3;

/// The `n`th event of a group, with its own response.
fn finished(n: usize) -> FinishedEvent {
    let (webhook_id, response_id) = (format!("wh_{n}"), format!("resp_{n}"));
    FinishedEvent {
        event: event(&webhook_id, &response_id),
        response: Some(Box::new(ResponseRecord { response_id, ..response("{}") })),
        completion: Completion {
            notifications: vec![new(&format!("ntf_{n}"), "app")],
            ..completion(&webhook_id)
        },
    }
}

async fn count(fixture: &Fixture, of: &str) -> String {
    fixture.select(&format!("SELECT count(*) FROM {of}")).await[0][0].clone().unwrap()
}

pub(crate) async fn finished_events_are_stored_together_and_a_second_run_changes_nothing(fixture: Fixture) {
    let mut group: Vec<FinishedEvent> = (0..EVENTS).map(finished).collect();
    // Two webhooks about one response, and events without an object.
    let twice = FinishedEvent { response: group[7].response.clone(), ..finished(EVENTS) };
    let alone = FinishedEvent { response: None, ..finished(EVENTS + 1) };
    group.extend([twice, alone]);
    group.reverse();
    fixture.store.save_finished(&[], &group).await.unwrap();
    let all = (EVENTS + 2).to_string();
    assert_eq!(count(&fixture, "events WHERE state = 'stored' AND attempts = 1").await, all);
    assert_eq!(count(&fixture, "responses WHERE fetch_state = 'fetched'").await, EVENTS.to_string());
    assert_eq!(count(&fixture, "notifications WHERE state = 'pending'").await, all);
    assert_eq!(count(&fixture, "event_attempts").await, "0");

    let before = (fixture.dump("events").await, fixture.dump_objects().await);
    fixture.store.save_finished(&[], &group).await.unwrap();
    assert_eq!((fixture.dump("events").await, fixture.dump_objects().await), before);
    assert_eq!(count(&fixture, "notifications").await, all);
}

pub(crate) async fn a_group_has_events_at_any_attempt(fixture: Fixture) {
    let store = &fixture.store;
    // The first attempt at wh_0 failed; that at wh_1 takes long; wh_2 is already stored, incompletely.
    store.record_delivery(&finished(0).event, 1).await.unwrap();
    store
        .fail_event(&store::Failure { webhook_id: "wh_0".to_owned(), ..failure(EventState::Retrying, 1) })
        .await
        .unwrap();
    store.save_finished(&[finished(1).event], &[]).await.unwrap();
    assert_eq!(count(&fixture, "events WHERE state = 'received' AND webhook_id = 'wh_1'").await, "1");
    let incomplete = Completion { reason: Some(Reason::NotFound), ..completion("wh_2") };
    let unfetched = FinishedEvent { response: None, completion: incomplete, ..finished(2) };
    store.save_finished(&[], &[unfetched]).await.unwrap();

    let mut second = finished(0);
    second.completion.attempts = 2;
    second.completion.attempt = Some(Attempt {
        worker: "w".to_owned(),
        received_at: at(0),
        started_at: at(3),
        duration: std::time::Duration::from_millis(40),
        http_status: None,
        request_id: None,
    });
    let group = [finished(3), finished(2), finished(1), second];
    store.save_finished(&[finished(1).event, finished(4).event], &group).await.unwrap();
    let rows =
        fixture.select("SELECT webhook_id, state, attempts, reason FROM events ORDER BY webhook_id").await;
    let row = |id: &str, state: &str, attempts: &str| {
        vec![Some(id.to_owned()), Some(state.to_owned()), Some(attempts.to_owned()), None]
    };
    let expected = [
        row("wh_0", "stored", "2"),
        row("wh_1", "stored", "1"),
        row("wh_2", "stored", "1"),
        row("wh_3", "stored", "1"),
        row("wh_4", "received", "1"),
    ];
    assert_eq!(rows, expected);
    let attempts = fixture.select("SELECT webhook_id, outcome FROM event_attempts ORDER BY attempt").await;
    assert_eq!(attempts, [["wh_0", "stored"].map(|value| Some(value.to_owned()))]);
}

pub(crate) async fn a_group_with_a_value_that_the_database_rejects_leaves_nothing(fixture: Fixture) {
    refuse(&fixture, "responses", "model", "no such model").await;
    let mut group: Vec<FinishedEvent> = (0..5).map(finished).collect();
    group[3].response.as_mut().unwrap().model = Some("no such model".to_owned());
    let refused = fixture.store.save_finished(&[finished(9).event], &group).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::ValueRefused);
    for table in ["events", "responses", "notifications"] {
        assert_eq!(count(&fixture, table).await, "0", "{table}");
    }
    group.remove(3);
    fixture.store.save_finished(&[], &group).await.unwrap();
    assert_eq!(count(&fixture, "responses").await, "4");
}
