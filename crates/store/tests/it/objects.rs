//! Which state of an object wins; a second run changes nothing.

use chrono::TimeDelta;
use store::{AgentRecord, AgentTurnRecord, BatchEnd, FineTuningRecord, Found, ResponseRecord, ResultSource};
use webhook::{EventState, FetchState};

use crate::fixture::{Fixture, meaning};
use crate::samples::{
    agent, agent_turn, at, batch, batch_input, chunk, completion, eval_run, event, file, fine_tuning,
    response, response_file, result, safety_alert,
};

async fn the_response(fixture: &Fixture) -> ResponseRecord {
    match fixture.store.find("resp_1").await.unwrap().as_slice() {
        [Found::Response(response)] => response.clone(),
        found => panic!("one response was expected: {found:?}"),
    }
}

/// Stores an object of each family like a worker, `later` than the first time.
pub(crate) async fn run_all_families(fixture: &Fixture, webhook_id: &str, later: TimeDelta) {
    let store = &fixture.store;
    let mut done = completion(webhook_id);
    done.processed_at += later;
    let (mut response, mut run, mut batch) = (response(r#"{"id":"resp_1"}"#), eval_run(), batch());
    let FineTuningRecord { mut job, model, metrics, parts } = fine_tuning();
    let mut model = model.unwrap();
    let (mut alert, mut agent) = (safety_alert(), agent());
    let received_at = [
        &mut response.received_at,
        &mut run.received_at,
        &mut batch.received_at,
        &mut job.received_at,
        &mut alert.received_at,
        &mut agent.session.received_at,
    ];
    let fetched_at = [
        &mut response.fetched_at,
        &mut run.fetched_at,
        &mut batch.fetched_at,
        &mut job.fetched_at,
        &mut model.fetched_at,
        &mut alert.fetched_at,
        &mut agent.session.fetched_at,
    ];
    received_at.into_iter().chain(fetched_at.into_iter().flatten()).for_each(|time| *time += later);
    for turn in &mut agent.turns {
        turn.received_at += later;
        *turn.fetched_at.as_mut().unwrap() += later;
    }
    // Not every object has an end time; then the event's time is used.
    *response.completed_at.as_mut().unwrap() += later;

    let mut new = event(webhook_id, "resp_1");
    new.received_at += later;
    store.record_delivery(&new, 1).await.unwrap();
    store.save_response(&response, &done).await.unwrap();
    let mut container_file = response_file("cfile_1");
    container_file.first_attempt_at += later;
    store.begin_response(&response, &[container_file]).await.unwrap();
    store.save_eval_run(&run, &done).await.unwrap();
    store.save_safety_alert(&alert, &done).await.unwrap();
    store.save_agent(&agent, &done).await.unwrap();
    let record = FineTuningRecord { job, model: Some(model), metrics, parts };
    store.save_fine_tuning(&record, &done).await.unwrap();
    let progress = store.begin_batch(&batch).await.unwrap();
    store.save_batch_inputs("default", "batch_1", &[batch_input(1), batch_input(2)]).await.unwrap();
    store.settle_batch_input("default", "batch_1", Ok(&file())).await.unwrap();
    if !progress.results_complete {
        let rows = (1..=10).map(result).collect();
        store
            .append_batch_results(&chunk(ResultSource::Output, progress.output_next_line, rows))
            .await
            .unwrap();
        store.finish_batch("batch_1", BatchEnd::Complete, &done).await.unwrap();
    }
}

pub(crate) async fn the_same_object_again_leaves_every_table_as_it_was(fixture: Fixture) {
    run_all_families(&fixture, "wh_1", TimeDelta::zero()).await;
    let (objects, events) = (fixture.dump_objects().await, fixture.dump("events").await);
    assert!(objects.values().all(|rows| !rows.is_empty()), "{objects:?}");
    run_all_families(&fixture, "wh_1", TimeDelta::seconds(30)).await;
    assert_eq!((fixture.dump_objects().await, fixture.dump("events").await), (objects.clone(), events));
    run_all_families(&fixture, "wh_of_another_endpoint", TimeDelta::seconds(60)).await;
    assert_eq!(fixture.dump_objects().await, objects);
    assert_eq!(fixture.dump("events").await.len(), 2);
}

pub(crate) async fn an_older_fetch_arriving_later_changes_nothing(fixture: Fixture) {
    let mut newer = response(r#"{"version":2}"#);
    newer.fetched_at = Some(at(20));
    let older = response(r#"{"version":1}"#);
    fixture.store.save_response(&newer, &completion("wh_1")).await.unwrap();
    let before = fixture.dump_objects().await;
    fixture.store.save_response(&older, &completion("wh_2")).await.unwrap();
    assert_eq!(fixture.dump_objects().await, before);

    newer.fetched_at = Some(at(30));
    newer.raw = Some(br#"{"version":3}"#.to_vec());
    fixture.store.save_response(&newer, &completion("wh_3")).await.unwrap();
    assert_eq!(meaning(the_response(&fixture).await.raw.as_deref()), meaning(newer.raw.as_deref()));
}

pub(crate) async fn an_embedded_object_never_replaces_a_fetched_one(fixture: Fixture) {
    fixture.store.save_response(&response(r#"{"whole":true}"#), &completion("wh_1")).await.unwrap();
    let before = fixture.dump_objects().await;
    let mut embedded = response(r#"{"embedded":true}"#);
    (embedded.fetch_state, embedded.fetched_at, embedded.received_at) =
        (FetchState::NotFound.into(), None, at(99));
    fixture.store.save_response(&embedded, &completion("wh_2")).await.unwrap();
    assert_eq!(fixture.dump_objects().await, before);
}

pub(crate) async fn the_explanation_of_an_alert_outlives_its_copy_at_openai(fixture: Fixture) {
    let first = safety_alert();
    let mut later = safety_alert();
    (later.detailed_explanation, later.request_paused) = (None, None);
    (later.fetched_at, later.raw) = (Some(at(30)), Some(br#"{"id":"alert_1","later":1}"#.to_vec()));
    let mut forbidden = later.clone();
    (forbidden.fetch_state, forbidden.fetched_at, forbidden.received_at) =
        (FetchState::Forbidden.into(), None, at(60));
    (forbidden.response_id, forbidden.raw) = (None, None);
    for alert in [&forbidden, &first, &later, &forbidden] {
        fixture.store.save_safety_alert(alert, &completion("wh_1")).await.unwrap();
    }
    let found = fixture.store.find("alert_1").await.unwrap();
    let [Found::SafetyAlert(row)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(row.detailed_explanation, first.detailed_explanation);
    assert_eq!((row.request_paused, row.fetched_at), (None, later.fetched_at));
    assert_eq!(row.fetch_state, FetchState::Fetched);
    fixture.store.save_response(&response("{}"), &completion("wh_1")).await.unwrap();
    let joined = "SELECT alert_id FROM safety_alerts JOIN responses USING (project, response_id)";
    assert_eq!(fixture.select(joined).await, [[Some("alert_1".to_owned())]]);
}

pub(crate) async fn a_session_follows_the_later_fetch_and_its_turns_only_get_better(fixture: Fixture) {
    let store = &fixture.store;
    store.save_agent(&agent(), &completion("wh_1")).await.unwrap();
    // A later event that reads only the session: it runs again.
    let mut running = AgentRecord { turns: Vec::new(), ..agent() };
    running.session.status = Some("in_progress".to_owned());
    (running.session.last_turn_id, running.session.last_turn_status) = (None, None);
    (running.session.artifacts, running.session.fetched_at) = (None, Some(at(20)));
    running.session.raw = Some(br#"{"id":"asess_1","status":"in_progress"}"#.to_vec());
    store.save_agent(&running, &completion("wh_2")).await.unwrap();
    // The first one arrives again, late, with a turn that still ran then.
    let mut late = agent();
    late.turns[0] = AgentTurnRecord {
        status: Some("in_progress".to_owned()),
        output_text: None,
        terminal: false,
        fetched_at: Some(at(30)),
        raw: Some(b"{}".to_vec()),
        ..agent_turn("turn_2", -10)
    };
    late.turns.push(AgentTurnRecord { terminal: false, ..agent_turn("turn_3", 5) });
    store.save_agent(&late, &completion("wh_3")).await.unwrap();

    let found = store.find("asess_1").await.unwrap();
    let [Found::AgentSession(session)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((session.status.as_deref(), session.fetched_at), (Some("in_progress"), Some(at(20))));
    assert_eq!(session.last_turn_id.as_deref(), Some("turn_2"));
    assert_eq!(session.last_turn_status.as_deref(), Some("completed"));
    assert!(session.artifacts.as_deref().unwrap().contains("artifact_1"));
    let turns = store.agent_turns("default", "asess_1", 10).await.unwrap();
    let shown: Vec<_> =
        turns.iter().map(|turn| (turn.turn_id.as_str(), turn.output_text.as_deref())).collect();
    assert_eq!(shown, [("turn_3", Some("Done.")), ("turn_2", Some("Done.")), ("turn_1", Some("Done."))]);
    let ended = store.ended_agent_turns("default", "asess_1").await.unwrap();
    assert_eq!(ended, ["turn_1", "turn_2"].map(str::to_owned).into());
    assert_eq!(store.agent_turns("default", "asess_1", 1).await.unwrap().len(), 1);
}

pub(crate) async fn a_non_terminal_object_never_replaces_a_terminal_one(fixture: Fixture) {
    let mut terminal = response(r#"{"status":"completed"}"#);
    (terminal.fetch_state, terminal.fetched_at) = (FetchState::Off.into(), None);
    fixture.store.save_response(&terminal, &completion("wh_1")).await.unwrap();
    let before = fixture.dump_objects().await;
    let mut running = response(r#"{"status":"in_progress"}"#);
    (running.terminal, running.fetched_at) = (false, Some(at(99)));
    fixture.store.save_response(&running, &completion("wh_2")).await.unwrap();
    assert_eq!(fixture.dump_objects().await, before);
}

pub(crate) async fn any_order_of_states_ends_in_the_same_row(fixture: Fixture) {
    let states = [
        (false, None, None),
        (false, None, Some("in_progress")),
        (false, Some(at(3)), Some("in_progress")),
        (true, None, Some("completed")),
        (true, Some(at(1)), Some("completed")),
        (true, Some(at(2)), Some("completed")),
    ];
    let mut last = None;
    for (number, order) in permutations(states.len()).into_iter().enumerate() {
        let response_id = format!("resp_{number}");
        for index in order {
            let (terminal, fetched_at, status) = states[index];
            let record = ResponseRecord {
                response_id: response_id.clone(),
                terminal,
                fetched_at,
                status: status.map(str::to_owned),
                fetch_state: if fetched_at.is_some() {
                    FetchState::Fetched.into()
                } else {
                    FetchState::Off.into()
                },
                ..response(&format!(r#"{{"state":{index}}}"#))
            };
            fixture.store.save_response(&record, &completion("wh_1")).await.unwrap();
        }
        last = Some(number);
    }
    let ends = fixture.select("SELECT raw, count(*) FROM responses GROUP BY raw").await;
    let all = (last.unwrap() + 1).to_string();
    assert_eq!(ends, [[Some(r#"{"state":5}"#.to_owned()), Some(all)]]);
}

/// Rotations and their reverses: each pair of states occurs in both orders, with each one first and last.
fn permutations(length: usize) -> Vec<Vec<usize>> {
    let rotations = (0..length).map(|by| (0..length).map(|index| (index + by) % length).collect::<Vec<_>>());
    rotations.flat_map(|order| [order.clone(), order.into_iter().rev().collect()]).collect()
}

pub(crate) async fn the_event_is_completed_even_when_the_object_is_older(fixture: Fixture) {
    let mut newer = response("{}");
    newer.fetched_at = Some(at(20));
    fixture.store.save_response(&newer, &completion("wh_1")).await.unwrap();
    fixture.store.record_delivery(&event("wh_2", "resp_1"), 1).await.unwrap();
    fixture.store.save_response(&response("{}"), &completion("wh_2")).await.unwrap();
    let counts = fixture.store.count_events().await.unwrap();
    assert_eq!(counts, [(webhook::Family::Response.into(), EventState::Stored.into(), 1)]);
}

pub(crate) async fn u0000_is_kept_in_raw_and_replaced_in_text(fixture: Fixture) {
    let raw = br#"{"output_text":"a\u0000b"}"#;
    let record = ResponseRecord {
        output_text: Some("a\0b".to_owned()),
        error: Some(r#"{"message":"x\u0000\ud800"}"#.to_owned()),
        raw: Some(raw.to_vec()),
        ..response("")
    };
    fixture.store.save_response(&record, &completion("wh_1")).await.unwrap();
    let row = the_response(&fixture).await;
    assert_eq!(row.output_text.as_deref(), Some("a\u{FFFD}b"));
    let error = meaning(row.error.as_deref().map(str::as_bytes));
    assert_eq!(error, Some(Ok(serde_json::json!({"message": "x\u{FFFD}\u{FFFD}"}))));
    assert_eq!(row.raw.as_deref(), Some(&raw[..]));
    let columns = fixture.select("SELECT raw IS NULL, raw_bytes IS NULL FROM responses").await;
    assert_eq!(columns, [[Some("1".to_owned()), Some("0".to_owned())]]);
}

pub(crate) async fn projects_do_not_mix(fixture: Fixture) {
    for project in ["default", "other"] {
        let record = ResponseRecord { project: project.to_owned(), ..response(&format!("\"{project}\"")) };
        let mut done = completion("wh_1");
        done.project = project.to_owned();
        let mut new = event("wh_1", "resp_1");
        new.project = project.to_owned();
        assert_eq!(fixture.store.record_delivery(&new, 1).await.unwrap(), EventState::Received);
        fixture.store.save_response(&record, &done).await.unwrap();
    }
    assert_eq!(fixture.dump("events").await.len(), 2);
    assert_eq!(fixture.store.find("resp_1").await.unwrap().len(), 2);
}

pub(crate) async fn an_empty_cell_of_a_repeated_step_erases_nothing(fixture: Fixture) {
    let mut record = fine_tuning();
    let mut validation = record.metrics[4];
    (validation.train_loss, validation.valid_loss) = (None, Some(0.25));
    record.metrics.push(validation);
    fixture.store.save_fine_tuning(&record, &completion("wh_1")).await.unwrap();
    let metrics = fixture.store.fine_tuning_metrics("default", "ftjob_1").await.unwrap();
    assert_eq!(metrics.iter().map(|metric| metric.step).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
    assert_eq!((metrics[4].train_loss, metrics[4].valid_loss), (Some(0.2), Some(0.25)));
}
