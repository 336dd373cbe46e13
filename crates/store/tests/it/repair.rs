//! Queries for following, replaying and repairing: events in the order they were first seen, and unfetched objects.

use store::{
    BatchEnd, EvalRunRecord, EventFilter, EventSeq, Failure, FetchProgress, ResponseRecord, ResultSource,
    SafetyAlertRecord,
};
use webhook::{EventState, Family, FetchState, Reason};

use crate::fixture::Fixture;
use crate::samples::{agent, at, batch, chunk, completion, eval_run, event, response, result, safety_alert};

/// Inserted in another order than received.
async fn four_events(fixture: &Fixture) {
    for (index, age) in [5, -9, 3, 0].into_iter().enumerate() {
        let mut new = event(&format!("wh_{index}"), "resp_1");
        new.received_at = at(age);
        new.family = if index == 2 { Family::Batch } else { Family::Response };
        fixture.store.record_delivery(&new, 1).await.unwrap();
    }
    fixture.store.complete_event(&completion("wh_3")).await.unwrap();
}

pub(crate) async fn events_come_in_the_order_workers_saw_them_page_by_page(fixture: Fixture) {
    let store = &fixture.store;
    assert_eq!(store.event_watermark().await.unwrap(), EventSeq::default());
    four_events(&fixture).await;
    let up_to = store.event_watermark().await.unwrap();
    let all = EventFilter { limit: 3, ..EventFilter::default() };
    let page = async |filter: &EventFilter, after| {
        let page = store.events_between(filter, after, up_to).await.unwrap();
        let last = page.last().map_or(after, |(seq, _)| *seq);
        (page.into_iter().map(|(_, event)| event.webhook_id).collect::<Vec<_>>(), last)
    };
    let (first, after) = page(&all, EventSeq::default()).await;
    assert_eq!(first, ["wh_0", "wh_1", "wh_2"]);
    assert_eq!(page(&all, after).await, (vec!["wh_3".to_owned()], up_to));

    store.record_delivery(&event("wh_later", "x"), 1).await.unwrap();
    assert_eq!(page(&all, up_to).await.0, [""; 0], "events after the end are left out");
    let start = EventSeq::default();
    for (filter, names) in [
        (EventFilter { family: Some(Family::Batch), ..all.clone() }, &["wh_2"][..]),
        (EventFilter { state: Some(EventState::Stored), ..all.clone() }, &["wh_3"]),
        (EventFilter { since: Some(at(1)), ..all.clone() }, &["wh_0", "wh_2"]),
        (EventFilter { project: Some("other".to_owned()), ..all.clone() }, &[]),
    ] {
        assert_eq!(page(&filter, start).await.0, names, "{filter:?}");
        assert_eq!(store.count_chosen(&filter, up_to).await.unwrap(), names.len() as u64, "{filter:?}");
    }
    assert_eq!(store.count_chosen(&all, up_to).await.unwrap(), 4, "the limit is ignored");
}

pub(crate) async fn events_are_read_by_name_and_those_that_may_change_by_family(fixture: Fixture) {
    let store = &fixture.store;
    four_events(&fixture).await;
    let failure = Failure {
        project: "default".to_owned(),
        webhook_id: "wh_1".to_owned(),
        attempts: 1,
        state: EventState::Dead,
        reason: Reason::Rejected,
        notifications: Vec::new(),
        attempt: None,
        error: "400".to_owned(),
    };
    store.fail_event(&failure).await.unwrap();
    let unsettled = async |family, limit| {
        let events = store.unsettled_events(family, limit).await.unwrap();
        events.into_iter().map(|event| event.webhook_id).collect::<Vec<_>>()
    };
    assert_eq!(unsettled(Family::Response, 10).await, ["wh_1", "wh_0"]);
    assert_eq!(unsettled(Family::Response, 1).await, ["wh_1"]);
    assert_eq!(unsettled(Family::Eval, 10).await, [""; 0]);

    let name = |project: &str, id: &str| (project.to_owned(), id.to_owned());
    let mut names = vec![name("default", "wh_3"), name("other", "wh_2"), name("default", "wh_1")];
    names.extend((0..1200).map(|number| name("default", &format!("none_{number}"))));
    names.push(name("default", "wh_0"));
    let mut found: Vec<_> =
        store.events_named(&names).await.unwrap().into_iter().map(|event| event.webhook_id).collect();
    found.sort();
    assert_eq!(found, ["wh_0", "wh_1", "wh_3"]);
    assert!(store.events_named(&[]).await.unwrap().is_empty());
    // PostgreSQL scans a nearly empty table, whatever its indexes.
    if !fixture.is_postgres() {
        let plan = fixture
            .select("EXPLAIN QUERY PLAN SELECT * FROM events WHERE (project, webhook_id) IN ((1, 2), (3, 4))")
            .await;
        let plan = format!("{plan:?}");
        assert!(plan.contains("SEARCH events USING INDEX") && !plan.contains("SCAN events"), "{plan}");
    }
}

pub(crate) async fn unfetched_objects_are_found_with_their_events(fixture: Fixture) {
    let store = &fixture.store;
    for (webhook_id, age) in [("wh_1", 0), ("wh_2", 7)] {
        let mut new = event(webhook_id, "resp_1");
        new.received_at = at(age);
        store.record_delivery(&new, 1).await.unwrap();
    }
    let missing = ResponseRecord {
        fetch_state: FetchState::NotFound.into(),
        fetched_at: None,
        status: None,
        terminal: false,
        ..response("{}")
    };
    store.save_response(&missing, &completion("wh_1")).await.unwrap();
    let run = EvalRunRecord {
        fetch_state: FetchState::Off.into(),
        fetched_at: None,
        received_at: at(9),
        ..eval_run()
    };
    store.save_eval_run(&run, &completion("wh_2")).await.unwrap();
    let alert = SafetyAlertRecord {
        fetch_state: FetchState::Forbidden.into(),
        fetched_at: None,
        received_at: at(-9),
        ..safety_alert()
    };
    store.save_safety_alert(&alert, &completion("wh_2")).await.unwrap();
    let mut session = agent();
    (session.session.fetch_state, session.session.fetched_at) = (FetchState::Off.into(), None);
    session.session.received_at = at(-10);
    store.save_agent(&session, &completion("wh_2")).await.unwrap();
    let list = async |since, limit| {
        let objects = store.unfetched_objects(since, limit).await.unwrap();
        objects
            .into_iter()
            .map(|object| (object.family, object.object_id, object.fetch_state))
            .collect::<Vec<_>>()
    };
    let response_1 = (Family::Response.into(), "resp_1".to_owned(), FetchState::NotFound.into());
    let run_1 = (Family::Eval.into(), "evalrun_1".to_owned(), FetchState::Off.into());
    let session_1 = (Family::Agent.into(), "asess_1".to_owned(), FetchState::Off.into());
    let alert_1 = (Family::Safety.into(), "alert_1".to_owned(), FetchState::Forbidden.into());
    assert_eq!(list(None, 10).await, [run_1.clone(), response_1, alert_1, session_1]);
    assert_eq!(list(Some(at(5)), 10).await, vec![run_1.clone()]);
    assert_eq!(list(None, 1).await, [run_1]);
    let about = store.events_about("resp_1").await.unwrap();
    assert_eq!(about.iter().map(|event| event.webhook_id.as_str()).collect::<Vec<_>>(), ["wh_2", "wh_1"]);

    store.save_response(&response("{}"), &completion("wh_2")).await.unwrap();
    assert_eq!(list(None, 10).await.len(), 3, "fetched in the meantime");
}

pub(crate) async fn the_fetch_progress_of_an_object_is_read_alone(fixture: Fixture) {
    let store = &fixture.store;
    let progress = async |family, id: &str| store.fetch_progress("default", family, id).await.unwrap();
    assert_eq!(progress(Family::Response, "resp_1").await, None);
    store.save_response(&response("{}"), &completion("wh_1")).await.unwrap();
    let fetched = FetchProgress { fetch_state: FetchState::Fetched.into(), rows: None };
    assert_eq!(progress(Family::Response, "resp_1").await, Some(fetched));
    assert_eq!(progress(Family::Safety, "resp_1").await, None);
    store.save_safety_alert(&safety_alert(), &completion("wh_1")).await.unwrap();
    assert_eq!(progress(Family::Safety, "alert_1").await.unwrap().fetch_state, FetchState::Fetched);

    store.begin_batch(&batch()).await.unwrap();
    store.append_batch_results(&chunk(ResultSource::Output, 1, (1..=7).map(result).collect())).await.unwrap();
    let rows = Some((7, Some(5000)));
    assert_eq!(progress(Family::Batch, "batch_1").await.unwrap().rows, rows);
    store.finish_batch("batch_1", BatchEnd::Expired, &completion("wh_1")).await.unwrap();
    let expired = FetchProgress { fetch_state: FetchState::Expired.into(), rows };
    assert_eq!(progress(Family::Batch, "batch_1").await, Some(expired));
}

pub(crate) async fn a_replay_that_completes_the_object_clears_the_reason(fixture: Fixture) {
    let store = &fixture.store;
    store.record_delivery(&event("wh_1", "resp_1"), 1).await.unwrap();
    let mut not_found = completion("wh_1");
    not_found.reason = Some(Reason::NotFound);
    store.complete_event(&not_found).await.unwrap();
    let before = fixture.dump("events").await;
    not_found.processed_at = at(99);
    store.complete_event(&not_found).await.unwrap();
    assert_eq!(fixture.dump("events").await, before, "another failed fetch changes nothing");

    let mut repaired = completion("wh_1");
    repaired.processed_at = at(200);
    store.complete_event(&repaired).await.unwrap();
    let row = store.events_about("resp_1").await.unwrap().remove(0);
    assert_eq!((row.state, row.reason, row.processed_at), (EventState::Stored.into(), None, Some(at(200))));
    store.complete_event(&not_found).await.unwrap();
    let row = store.events_about("resp_1").await.unwrap().remove(0);
    assert_eq!((row.reason, row.processed_at), (None, Some(at(200))), "an older failure does not change it");
}
