//! What users read: lists, ids, JSON, views.

use store::{
    BatchEnd, BatchResult, EventFilter, Failure, Found, NotificationFilter, ResponseRecord, ResultFilter,
    ResultSource, ResultsState,
};
use webhook::{EventState, Family, FetchState, Reason};

use crate::fixture::Fixture;
use crate::samples::{
    agent, at, batch, chunk, completion, eval_run, event, file, fine_tuning, response, result, safety_alert,
};

/// Events of three families, two projects and two states.
async fn four_events(fixture: &Fixture) {
    let families = [Family::Response, Family::Batch, Family::Response, Family::Other];
    for (index, family) in families.into_iter().enumerate() {
        let mut new = event(&format!("wh_{index}"), "x");
        (new.family, new.received_at) = (family, at(i64::try_from(index).unwrap()));
        if index == 3 {
            new.project = "other".to_owned();
        }
        fixture.store.record_delivery(&new, 1).await.unwrap();
    }
    fixture.store.complete_event(&completion("wh_0")).await.unwrap();
}

pub(crate) async fn events_are_listed_newest_first_by_filter(fixture: Fixture) {
    four_events(&fixture).await;
    let list = async |filter: EventFilter| {
        let events = fixture.store.list_events(&filter).await.unwrap();
        events.into_iter().map(|event| event.webhook_id).collect::<Vec<_>>()
    };
    let all = EventFilter::default();
    assert_eq!(list(all.clone()).await, ["wh_3", "wh_2", "wh_1", "wh_0"]);
    assert_eq!(list(EventFilter { limit: 2, ..all.clone() }).await, ["wh_3", "wh_2"]);
    assert_eq!(list(EventFilter { family: Some(Family::Response), ..all.clone() }).await, ["wh_2", "wh_0"]);
    assert_eq!(list(EventFilter { state: Some(EventState::Stored), ..all.clone() }).await, ["wh_0"]);
    assert_eq!(list(EventFilter { since: Some(at(2)), ..all.clone() }).await, ["wh_3", "wh_2"]);
    assert_eq!(list(EventFilter { project: Some("other".to_owned()), ..all.clone() }).await, ["wh_3"]);
}

pub(crate) async fn events_are_counted_by_family_and_state(fixture: Fixture) {
    four_events(&fixture).await;
    let counts = fixture.store.count_events().await.unwrap();
    assert_eq!(
        counts,
        [
            (Family::Batch.into(), EventState::Received.into(), 1),
            (Family::Other.into(), EventState::Received.into(), 1),
            (Family::Response.into(), EventState::Received.into(), 1),
            (Family::Response.into(), EventState::Stored.into(), 1),
        ]
    );
}

pub(crate) async fn rows_are_found_by_id(fixture: Fixture) {
    let store = &fixture.store;
    store.record_delivery(&event("wh_1", "resp_1"), 1).await.unwrap();
    store.record_delivery(&event("wh_2", "sess_1"), 1).await.unwrap();
    store.save_response(&response("{}"), &completion("wh_1")).await.unwrap();
    store.begin_batch(&batch()).await.unwrap();
    store.save_fine_tuning(&fine_tuning(), &completion("wh_1")).await.unwrap();
    store.save_eval_run(&eval_run(), &completion("wh_1")).await.unwrap();
    store.save_safety_alert(&safety_alert(), &completion("wh_1")).await.unwrap();
    store.save_agent(&agent(), &completion("wh_1")).await.unwrap();
    store.save_file(&file()).await.unwrap();
    let kinds = async |id: &str| {
        let found = store.find(id).await.unwrap();
        found.iter().map(|found| serde_json::to_value(found).unwrap()["kind"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(kinds("wh_1").await, ["event"]);
    assert_eq!(kinds("evt_1").await, ["event", "event"]);
    assert_eq!(kinds("resp_1").await, ["response"]);
    assert_eq!(kinds("batch_1").await, ["batch"]);
    assert_eq!(kinds("ftjob_1").await, ["fine_tuning_job"]);
    assert_eq!(kinds("ft:gpt-6-luna:acme::1").await, ["model"]);
    assert_eq!(kinds("evalrun_1").await, ["eval_run"]);
    assert_eq!(kinds("alert_1").await, ["safety_alert"]);
    assert_eq!(kinds("asess_1").await, ["agent_session"]);
    assert_eq!(kinds("turn_1").await, ["agent_turn"]);
    assert_eq!(kinds("file_out").await, ["file"]);
    assert_eq!(kinds("sess_1").await, ["event"], "only an event names it");
    assert!(store.find("resp_2").await.unwrap().is_empty());
    assert!(
        matches!(store.find("file_out").await.unwrap().as_slice(), [Found::File(found)] if *found == file())
    );
    assert_eq!(store.find_file("file_out").await.unwrap(), Some(file()));
    assert_eq!(store.find_file("resp_1").await.unwrap(), None);
    for (family, id) in [
        (Family::Response, "resp_1"),
        (Family::Batch, "batch_1"),
        (Family::FineTuning, "ftjob_1"),
        (Family::Eval, "evalrun_1"),
        (Family::Safety, "alert_1"),
        (Family::Agent, "asess_1"),
    ] {
        let found = serde_json::to_value(store.find_object(family, id).await.unwrap()).unwrap();
        assert_eq!(found, serde_json::to_value(store.find(id).await.unwrap()).unwrap());
    }
    assert!(store.find_object(Family::Batch, "resp_1").await.unwrap().is_empty());
}

pub(crate) async fn records_are_json_with_their_json_nested(fixture: Fixture) {
    fixture.store.save_response(&response(r#"{"a":[1]}"#), &completion("wh_1")).await.unwrap();
    fixture.store.begin_batch(&batch()).await.unwrap();
    let mut rows: Vec<BatchResult> = (1..=2).map(result).collect();
    (rows[1].body, rows[1].quarantined) = (Some(b"\xff".to_vec()), true);
    fixture.store.append_batch_results(&chunk(ResultSource::Output, 1, rows)).await.unwrap();
    // Serialized as text, like `--json`, and as values.
    let json = async |id: &str| {
        let found = fixture.store.find(id).await.unwrap().pop().unwrap();
        let text: serde_json::Value = serde_json::from_str(&serde_json::to_string(&found).unwrap()).unwrap();
        assert_eq!(serde_json::to_value(&found).unwrap(), text);
        text
    };
    let response = json("resp_1").await;
    assert_eq!((&response["usage"]["input_tokens"], &response["raw"]["a"][0]), (&3.into(), &1.into()));
    assert_eq!(response["received_at"], "2026-11-23T20:02:27Z");
    let batch = json("batch_1").await;
    assert_eq!((&batch["status"], &batch["rows_stored"]), (&"completed".into(), &2.into()));
    assert_eq!((&batch["results_complete"], &batch["usage"]["input_tokens"]), (&false.into(), &3.into()));
    let rows = fixture.store.batch_results(&ResultFilter::of("default", "batch_1", 10)).await.unwrap();
    let rows = serde_json::to_value(rows).unwrap();
    assert_eq!(rows[0]["body"]["choices"][0]["message"]["content"], "answer 1");
    assert_eq!(rows[1]["body"], serde_json::json!({"base64": "/w=="}));
}

/// The result, with NULL as an empty string.
async fn table(fixture: &Fixture, select: &str) -> Vec<Vec<String>> {
    let rows = fixture.select(select).await;
    rows.into_iter().map(|row| row.into_iter().map(Option::unwrap_or_default).collect()).collect()
}

pub(crate) async fn views_show_results_and_what_is_missing(fixture: Fixture) {
    let store = &fixture.store;
    store.save_response(&response("{}"), &completion("wh_1")).await.unwrap();
    let failed = ResponseRecord {
        response_id: "resp_2".to_owned(),
        status: Some("failed".to_owned()),
        fetch_state: FetchState::NotFound.into(),
        ..response("{}")
    };
    store.save_response(&failed, &completion("wh_1")).await.unwrap();
    let results = "SELECT response_id, output_text, completed_at, received_at FROM research_results";
    assert_eq!(
        table(&fixture, results).await,
        [["resp_1", "Forty-two.", "2026-11-23T20:02:21.000000Z", "2026-11-23T20:02:27.000000Z"]]
    );
    let unfetched = "SELECT family, object_id, fetch_state FROM unfetched_objects";
    assert_eq!(table(&fixture, unfetched).await, [["response", "resp_2", "not_found"]]);

    store.record_delivery(&event("wh_1", "resp_1"), 1).await.unwrap();
    store.record_delivery(&event("wh_2", "resp_2"), 1).await.unwrap();
    store.complete_event(&completion("wh_1")).await.unwrap();
    let failure = Failure {
        project: "default".to_owned(),
        webhook_id: "wh_2".to_owned(),
        attempts: 3,
        state: EventState::Dead,
        reason: Reason::GaveUp,
        notifications: Vec::new(),
        attempt: None,
        error: "gave up".to_owned(),
    };
    store.fail_event(&failure).await.unwrap();
    let open = "SELECT webhook_id, state, attempts, reason, last_error FROM open_events";
    assert_eq!(table(&fixture, open).await, [["wh_2", "dead", "3", "gave_up", "gave up"]]);
}

pub(crate) async fn views_show_a_batchs_texts_and_errors(fixture: Fixture) {
    let store = &fixture.store;
    store.begin_batch(&batch()).await.unwrap();
    let answer = br#"{"output":[{"type":"reasoning"},{"type":"message","content":[{"type":"output_text","text":"One, "},
        {"type":"refusal","refusal":"no"},{"type":"output_text","text":"two."}]}]}"#;
    let rows = vec![result(1), BatchResult { body: Some(answer.to_vec()), ..result(2) }];
    store.append_batch_results(&chunk(ResultSource::Output, 1, rows)).await.unwrap();
    let expired = BatchResult {
        status_code: None,
        body: None,
        error: Some(r#"{"code":"batch_expired","message":"too late"}"#.to_owned()),
        ..result(1)
    };
    store.append_batch_results(&chunk(ResultSource::Error, 1, vec![expired])).await.unwrap();
    store.finish_batch("batch_1", BatchEnd::Complete, &completion("wh_1")).await.unwrap();
    let outputs = "SELECT custom_id, output_text, output_tokens FROM batch_outputs ORDER BY line";
    assert_eq!(
        table(&fixture, outputs).await,
        [["request-00001", "answer 1", "1"], ["request-00002", "One, two.", "2"]]
    );
    let errors = "SELECT custom_id, error_code, error_message, source FROM batch_errors";
    assert_eq!(table(&fixture, errors).await, [["request-00001", "batch_expired", "too late", "error"]]);
}

pub(crate) async fn odd_bodies_do_not_break_the_views(fixture: Fixture) {
    fixture.store.begin_batch(&batch()).await.unwrap();
    let bodies: [&[u8]; 12] = [
        b"null",
        b"[]",
        b"7",
        br#""text""#,
        b"{}",
        br#"{"output":"text"}"#,
        br#"{"output":["text",7,null,[]]}"#,
        br#"{"output":[{"content":"text"}]}"#,
        br#"{"output":[{"content":["text",{"type":7},{"type":"output_text"}]}]}"#,
        br#"{"choices":[]}"#,
        br#"{"data":[{"embedding":[0.1]}]}"#,
        b"\xff",
    ];
    let errors = ["", "text", "7", "[]", r#""text""#, r#"{"code":null}"#];
    let rows = bodies.iter().enumerate().map(|(index, body)| BatchResult {
        body: Some(body.to_vec()),
        error: errors.get(index).map(|&error| error.to_owned()),
        ..result(i64::try_from(index).unwrap() + 1)
    });
    fixture.store.append_batch_results(&chunk(ResultSource::Output, 1, rows.collect())).await.unwrap();
    let texts = table(&fixture, "SELECT output_text FROM batch_outputs").await;
    assert!(texts.len() == 12 && texts.iter().all(|row| row[0].is_empty()), "{texts:?}");
    assert_eq!(table(&fixture, "SELECT error_code FROM batch_errors").await.len(), errors.len());
}

pub(crate) async fn embeddings_are_counted_not_shown(fixture: Fixture) {
    fixture.store.begin_batch(&batch()).await.unwrap();
    let bodies = [
        r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-2e-3,3]},{"object":"embedding"}]}"#,
        r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"zczMPQ=="}]}"#,
        r#"{"data":[{"object":"model","embedding":null}]}"#,
        r#"{"data":{"object":"embedding"}}"#,
    ];
    let rows = bodies
        .iter()
        .zip(1..)
        .map(|(body, line)| BatchResult { body: Some(body.as_bytes().to_vec()), ..result(line) });
    fixture.store.append_batch_results(&chunk(ResultSource::Output, 1, rows.collect())).await.unwrap();
    let shapes = table(&fixture, "SELECT embeddings, dimensions, output_text FROM batch_outputs").await;
    assert_eq!(shapes, [["2", "3", ""], ["1", "", ""], ["", "", ""], ["", "", ""]]);
}

/// The results as the worker reads them from `neither-answer-nor-error.jsonl`.
pub(crate) async fn lines_without_an_answer_are_among_the_errors(fixture: Fixture) {
    let lines = include_str!("../fixtures/neither-answer-nor-error.jsonl").lines().zip(1..);
    let rows: Vec<BatchResult> = lines
        .map(|(line, number)| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let (answer, error) = (&line["response"], &line["error"]);
            BatchResult {
                custom_id: line["custom_id"].as_str().map(str::to_owned),
                status_code: answer["status_code"].as_i64(),
                body: answer.get("body").map(|body| body.to_string().into_bytes()),
                error: (!error.is_null()).then(|| error.to_string()),
                ..result(number)
            }
        })
        .collect();
    fixture.store.begin_batch(&batch()).await.unwrap();
    let redirected = BatchResult { status_code: Some(302), ..result(8) };
    let rows = rows.into_iter().chain([redirected, result(9)]).collect();
    fixture.store.append_batch_results(&chunk(ResultSource::Output, 1, rows)).await.unwrap();
    let failed = ["2", "3", "4", "5", "6", "7", "8"];
    let errors = table(&fixture, "SELECT line FROM batch_errors ORDER BY line").await;
    assert_eq!(errors, failed.map(|line| [line]));
    let filter = ResultFilter { errors_only: true, ..ResultFilter::of("default", "batch_1", 10) };
    let errors = fixture.store.batch_results(&filter).await.unwrap();
    assert_eq!(errors.iter().map(|row| row.line.to_string()).collect::<Vec<_>>(), failed);
}

/// Names that a later version may write.
pub(crate) async fn unknown_names_of_another_version_are_preserved(fixture: Fixture) {
    let store = &fixture.store;
    store.record_delivery(&event("wh_1", "resp_1"), 1).await.unwrap();
    store.save_response(&response("{}"), &completion("wh_1")).await.unwrap();
    store.begin_batch(&batch()).await.unwrap();
    store.add_notifications(&[crate::notifications::new("ntf_1", "app")]).await.unwrap();
    let time = if fixture.is_postgres() { "now()" } else { "'2026-11-24T01:02:03.000004Z'" };
    fixture
        .execute(&format!(
            "UPDATE events SET family = 'video', state = 'asleep', reason = 'moon'; \
             UPDATE responses SET fetch_state = 'half'; UPDATE batches SET fetch_state = 'half'; \
             UPDATE notifications SET type = 'video.stored', state = 'muted'; \
             INSERT INTO notification_targets (target, state, updated_at) VALUES ('app', 'muted', {time}); \
             INSERT INTO event_attempts (project, webhook_id, attempt, worker, started_at, duration_ms, outcome, reason) \
             VALUES ('default', 'wh_1', 1, 'host-1', {time}, 1, 'put_off', 'moon')"
        ))
        .await;
    let events = store.list_events(&EventFilter::default()).await.unwrap();
    let names = |event: &store::EventRecord| {
        let reason = event.reason.as_ref().map(|reason| reason.as_str().to_owned());
        (event.family.to_string(), event.state.to_string(), reason)
    };
    assert_eq!(names(&events[0]), ("video".to_owned(), "asleep".to_owned(), Some("moon".to_owned())));
    let json = serde_json::to_value(&events[0]).unwrap();
    assert_eq!(
        (&json["state"], &json["reason"], &json["family"]),
        (&"asleep".into(), &"moon".into(), &"video".into())
    );
    assert_eq!(store.count_events().await.unwrap()[0].1.as_str(), "asleep");
    assert_eq!(store.events_about("resp_1").await.unwrap().len(), 1);
    assert_eq!(store.event_attempts("default", "wh_1").await.unwrap()[0].outcome.as_str(), "put_off");
    let unfetched = store.unfetched_objects(None, 10).await.unwrap();
    assert!(unfetched.len() == 2 && unfetched.iter().all(|object| object.fetch_state.as_str() == "half"));
    let [Found::Batch(found)] = &store.find("batch_1").await.unwrap()[..] else { panic!() };
    assert_eq!(found.results_state, ResultsState::Unfetched);
    let notification = &store.list_notifications(&NotificationFilter::default()).await.unwrap()[0];
    assert_eq!(
        (notification.state.as_str(), notification.notification.kind.as_str()),
        ("muted", "video.stored")
    );
    assert_eq!(store.count_notifications().await.unwrap()[0].1.as_str(), "muted");
    assert_eq!(store.target_health().await.unwrap()[0].state.as_str(), "muted");

    // A worker treats it as an event that is not stored, and stores it.
    assert_eq!(store.record_delivery(&event("wh_1", "resp_1"), 2).await.unwrap().as_str(), "asleep");
    store.complete_event(&completion("wh_1")).await.unwrap();
    assert_eq!(store.list_events(&EventFilter::default()).await.unwrap()[0].state, EventState::Stored);
}
