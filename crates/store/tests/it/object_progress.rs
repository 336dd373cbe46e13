//! The progress of objects that a caller waits for.

use store::{
    BatchEnd, Completion, Failure, ObjectProgress, ObjectRow, ResponseFileState, ResponseRecord, ResultSource,
};
use webhook::{EventState, Family, FetchState, Reason};

use crate::fixture::Fixture;
use crate::samples::{
    agent, agent_turn, batch, chunk, completion, eval_run, event, fine_tuning, response, response_file,
    result,
};

fn row(fetch_state: FetchState, is_complete: bool) -> Option<ObjectRow> {
    Some(ObjectRow { fetch_state: fetch_state.into(), is_complete })
}

fn stored(row: Option<ObjectRow>) -> ObjectProgress {
    ObjectProgress { has_stored_event: true, row, ..ObjectProgress::default() }
}

async fn first_delivery(fixture: &Fixture, webhook_id: &str, object_id: &str) -> Completion {
    fixture.store.record_delivery(&event(webhook_id, object_id), 1).await.unwrap();
    completion(webhook_id)
}

async fn one(fixture: &Fixture, family: Family, id: &str) -> ObjectProgress {
    fixture.store.object_progress(&[(family, id)]).await.unwrap().remove(0)
}

fn dead(webhook_id: &str) -> Failure {
    Failure {
        project: "default".to_owned(),
        webhook_id: webhook_id.to_owned(),
        attempts: 1,
        state: EventState::Dead,
        reason: Reason::Rejected,
        error: "no".to_owned(),
        attempt: None,
        notifications: Vec::new(),
    }
}

pub(crate) async fn the_progress_of_many_objects_is_read_at_once(fixture: Fixture) {
    let store = &fixture.store;
    let done = first_delivery(&fixture, "wh_1", "resp_1").await;
    let not_found =
        ResponseRecord { fetch_state: FetchState::NotFound.into(), fetched_at: None, ..response("{}") };
    store.save_response(&not_found, &done).await.unwrap();
    let done = first_delivery(&fixture, "wh_2", "batch_1").await;
    store.begin_batch(&batch()).await.unwrap();
    let importing = ObjectProgress {
        has_open_event: true,
        row: row(FetchState::Fetched, false),
        ..ObjectProgress::default()
    };
    assert_eq!(one(&fixture, Family::Batch, "batch_1").await, importing);
    store.append_batch_results(&chunk(ResultSource::Output, 1, vec![result(1)])).await.unwrap();
    // Not one row per request: there are no more.
    store.finish_batch("batch_1", BatchEnd::Complete, &done).await.unwrap();
    let tuned = fine_tuning();
    let done = first_delivery(&fixture, "wh_3", &tuned.job.job_id).await;
    store.save_fine_tuning(&tuned, &done).await.unwrap();
    let run = eval_run();
    let done = first_delivery(&fixture, "wh_4", &run.run_id).await;
    store.save_eval_run(&run, &done).await.unwrap();
    first_delivery(&fixture, "wh_5", "resp_open").await;
    first_delivery(&fixture, "wh_6", "resp_dead").await;
    store.fail_event(&dead("wh_6")).await.unwrap();

    let long = "resp_".to_owned() + &"long".repeat(1000);
    first_delivery(&fixture, "wh_7", &long).await;
    let objects = [
        (Family::Response, "resp_1"),
        (Family::Batch, "batch_1"),
        (Family::FineTuning, tuned.job.job_id.as_str()),
        (Family::Eval, run.run_id.as_str()),
        (Family::Response, "resp_open"),
        (Family::Response, "resp_dead"),
        (Family::Response, "resp_nowhere"),
        (Family::Response, long.as_str()),
        (Family::Response, "resp_1"),
    ];
    let open = ObjectProgress { has_open_event: true, ..ObjectProgress::default() };
    let given_up = ObjectProgress { has_dead_event: true, ..ObjectProgress::default() };
    let expected = [
        stored(row(FetchState::NotFound, true)),
        stored(row(FetchState::Fetched, true)),
        stored(row(FetchState::Fetched, true)),
        stored(row(FetchState::Fetched, true)),
        open.clone(),
        given_up,
        ObjectProgress::default(),
        open,
        stored(row(FetchState::NotFound, true)),
    ];
    assert_eq!(store.object_progress(&objects).await.unwrap(), expected);

    // A second event about the same object.
    first_delivery(&fixture, "wh_8", "resp_1").await;
    let again = ObjectProgress { has_open_event: true, ..stored(row(FetchState::NotFound, true)) };
    assert_eq!(one(&fixture, Family::Response, "resp_1").await, again);

    // More ids than one query takes.
    let many: Vec<String> = (0..1200).map(|number| format!("resp_{number}")).collect();
    let many: Vec<(Family, &str)> = many.iter().map(|id| (Family::Response, id.as_str())).collect();
    let found = store.object_progress(&many).await.unwrap();
    assert_eq!((found.len(), &found[1], &found[2]), (1200, &again, &ObjectProgress::default()));
    assert!(store.object_progress(&[]).await.unwrap().is_empty());
}

pub(crate) async fn a_session_is_complete_when_its_newest_turn_has_ended(fixture: Fixture) {
    let store = &fixture.store;
    let done = first_delivery(&fixture, "wh_1", "asess_1").await;
    let mut session = agent();
    store.save_agent(&session, &done).await.unwrap();
    assert_eq!(one(&fixture, Family::Agent, "asess_1").await, stored(row(FetchState::Fetched, true)));

    let mut running = agent_turn("turn_3", -2);
    (running.status, running.terminal) = (Some("in_progress".to_owned()), false);
    session.turns.insert(0, running);
    session.session.last_turn_id = Some("turn_3".to_owned());
    session.session.fetched_at = Some(crate::samples::at(100));
    store.save_agent(&session, &done).await.unwrap();
    assert_eq!(one(&fixture, Family::Agent, "asess_1").await, stored(row(FetchState::Fetched, false)));

    session.session.status = Some("failed".to_owned());
    session.session.raw = Some(br#"{"id":"asess_1","status":"failed"}"#.to_vec());
    session.session.fetched_at = Some(crate::samples::at(200));
    store.save_agent(&session, &done).await.unwrap();
    assert_eq!(one(&fixture, Family::Agent, "asess_1").await, stored(row(FetchState::Fetched, true)));
}

pub(crate) async fn a_response_is_incomplete_while_its_files_are_pending(fixture: Fixture) {
    let store = &fixture.store;
    let mut file = response_file("cfile_1");
    store.begin_response(&response("{}"), std::slice::from_ref(&file)).await.unwrap();
    let incomplete = ObjectProgress { row: row(FetchState::Fetched, false), ..ObjectProgress::default() };
    assert_eq!(one(&fixture, Family::Response, "resp_1").await, incomplete);
    file.state = ResponseFileState::Expired.into();
    store.settle_response_file(&file, None).await.unwrap();
    let complete = ObjectProgress { row: row(FetchState::Fetched, true), ..ObjectProgress::default() };
    assert_eq!(one(&fixture, Family::Response, "resp_1").await, complete);
}
