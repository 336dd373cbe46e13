//! Untrusted values: ids of any length, JSON nested to any depth, and values that a user's own index or constraint
//! rejects.

use store::{
    Appended, BatchEnd, BatchRecord, BatchResult, Completion, EvalRunRecord, FileRecord, FineTuningRecord,
    Found, NewEvent, NewNotification, ResponseRecord, ResultFilter, ResultSource, SafetyAlertRecord,
};
use webhook::Reason;

use crate::fixture::Fixture;
use crate::samples::{
    agent, batch, chunk, completion, eval_run, event, file, fine_tuning, response, result, safety_alert,
};

/// Text that no database can compress below the size limit of a B-tree entry.
fn random_text(chars: usize) -> String {
    let mut random = fastrand_like(chars as u64);
    (0..chars)
        .map(|_| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[random()]))
        .collect()
}

/// Deterministic pseudo-random numbers below 64.
fn fastrand_like(seed: u64) -> impl FnMut() -> usize {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as usize & 63
    }
}

/// The lines of a file made by a proxy, as the worker reads them.
fn lines(file: &str) -> Vec<BatchResult> {
    let line = |(index, line): (usize, &str)| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let custom_id = line["custom_id"].as_str().unwrap().to_owned();
        let body = line["response"]["body"].to_string().into_bytes();
        BatchResult { custom_id: Some(custom_id), body: Some(body), ..result(index as i64 + 1) }
    };
    file.lines().enumerate().map(line).collect()
}

pub(crate) async fn a_custom_id_of_any_length_is_stored_and_found(fixture: Fixture) {
    let mut rows = lines(include_str!("../fixtures/long-custom-id-json.jsonl"));
    rows.extend(lines(include_str!("../fixtures/long-custom-id-path.jsonl")));
    for chars in [2700, 2713, 8000, 100_000, 1_000_000] {
        rows.push(BatchResult { custom_id: Some(random_text(chars)), ..result(1) });
    }
    for (row, line) in rows.iter_mut().zip(1..) {
        row.line = line;
    }
    fixture.store.begin_batch(&batch()).await.unwrap();
    let added = fixture.store.append_batch_results(&chunk(ResultSource::Output, 1, rows.clone())).await;
    assert_eq!(added.unwrap(), Appended::Added);
    for row in &rows {
        let custom_id = row.custom_id.as_ref().unwrap();
        let mut filter = ResultFilter::of("default", "batch_1", 10);
        filter.custom_id = row.custom_id.clone();
        let found = fixture.store.batch_results(&filter).await.unwrap();
        assert!(found.iter().any(|found| found.line == row.line && found.custom_id == row.custom_id));
        // A user's query.
        let select = format!("SELECT count(*) FROM batch_outputs WHERE custom_id = '{custom_id}'");
        assert_eq!(fixture.select(&select).await, [[Some(found.len().to_string())]]);
    }
    let counts = fixture.select("SELECT rows_stored, rows_quarantined FROM batches").await;
    assert_eq!(counts, [[Some(rows.len().to_string()), Some("0".to_owned())]]);
}

fn new_notification(webhook_id: &str, id: &str) -> NewNotification {
    NewNotification { object_id: Some(id.to_owned()), ..crate::notifications::new(webhook_id, "crm") }
}

pub(crate) async fn an_object_id_of_any_length_leaves_all_its_rows(fixture: Fixture) {
    let store = &fixture.store;
    // They differ only in their hash.
    let begin = random_text(50_000);
    for id in [format!("{begin}a"), format!("{begin}b")] {
        let webhook_id = format!("wh_{}", &id[id.len() - 1..]);
        let done =
            Completion { notifications: vec![new_notification(&webhook_id, &id)], ..completion(&webhook_id) };
        let new = NewEvent { event_id: Some(format!("evt_{id}")), ..event(&webhook_id, &id) };
        store.record_delivery(&new, 1).await.unwrap();
        store
            .save_response(&ResponseRecord { response_id: id.clone(), ..response("{}") }, &done)
            .await
            .unwrap();
        store.begin_batch(&BatchRecord { batch_id: id.clone(), ..batch() }).await.unwrap();
        let mut rows = chunk(ResultSource::Output, 1, vec![result(1), result(2)]);
        rows.batch_id.clone_from(&id);
        assert_eq!(store.append_batch_results(&rows).await.unwrap(), Appended::Added);
        store.finish_batch(&id, BatchEnd::Complete, &done).await.unwrap();
        let FineTuningRecord { mut job, model, metrics, parts } = fine_tuning();
        let mut model = model.unwrap();
        (job.job_id, job.fine_tuned_model) = (id.clone(), Some(format!("ft:{id}")));
        (model.job_id, model.model_id) = (Some(id.clone()), format!("ft:{id}"));
        let record = FineTuningRecord { job, model: Some(model), metrics, parts };
        store.save_fine_tuning(&record, &done).await.unwrap();
        store.save_eval_run(&EvalRunRecord { run_id: id.clone(), ..eval_run() }, &done).await.unwrap();
        let alert = SafetyAlertRecord { alert_id: id.clone(), ..safety_alert() };
        store.save_safety_alert(&alert, &done).await.unwrap();
        let mut agent = agent();
        agent.session.session_id.clone_from(&id);
        for turn in &mut agent.turns {
            turn.session_id.clone_from(&id);
        }
        store.save_agent(&agent, &done).await.unwrap();
        let file_id = format!("file-{id}");
        store.save_file(&FileRecord { file_id, object_id: id.clone(), ..file() }).await.unwrap();

        let kinds = |found: &[Found]| {
            let kind = |found| serde_json::to_value(found).unwrap()["kind"].as_str().unwrap().to_owned();
            found.iter().map(kind).collect::<Vec<_>>()
        };
        let found = store.find(&id).await.unwrap();
        assert_eq!(
            kinds(&found),
            ["response", "batch", "fine_tuning_job", "eval_run", "safety_alert", "agent_session"]
        );
        assert_eq!(kinds(&store.find(&format!("ft:{id}")).await.unwrap()), ["model"]);
        assert_eq!(kinds(&store.find(&format!("file-{id}")).await.unwrap()), ["file"]);
        assert_eq!(kinds(&store.find(&format!("evt_{id}")).await.unwrap()), ["event"]);
        assert_eq!(store.events_about(&id).await.unwrap().len(), 1);
        assert_eq!(store.batch_results(&ResultFilter::of("default", &id, 9)).await.unwrap().len(), 2);
        assert_eq!(store.fine_tuning_metrics("default", &id).await.unwrap().len(), 20);
        assert_eq!(store.fine_tuning_parts("default", &id).await.unwrap().events.len(), 2);
        store.save_batch_inputs("default", &id, &[crate::samples::batch_input(1)]).await.unwrap();
        assert_eq!(store.batch_inputs("default", &id, (0, 9)).await.unwrap().len(), 1);
    }
    for table in
        ["events", "responses", "batches", "fine_tuning_jobs", "fine_tuned_models", "eval_runs", "files"]
    {
        assert_eq!(fixture.dump(table).await.len(), 2, "{table}");
    }
    // Related rows have the same id in all tables.
    let joined = "SELECT count(*) FROM events JOIN responses ON response_id = events.object_id \
                  JOIN files ON files.object_id = response_id JOIN notifications n ON n.object_id = response_id";
    assert_eq!(fixture.select(joined).await, [[Some("2".to_owned())]]);
    let state = "SELECT DISTINCT state FROM events";
    assert_eq!(fixture.select(state).await, [[Some("stored".to_owned())]]);
}

/// `{"a":[{"a":[…7…]}]}`, nested `levels` deep.
fn nested(levels: usize) -> String {
    format!("{}7{}", r#"{"a":["#.repeat(levels / 2), "]}".repeat(levels / 2))
}

pub(crate) async fn json_nested_to_any_depth_is_stored_and_affects_no_other_row(fixture: Fixture) {
    let store = &fixture.store;
    let depths = [128, 130, 1500, 100_000];
    let body = |levels: usize| {
        format!(r#"{{"choices":[{{"message":{{"content":"{levels}"}}}}],"deep":{}}}"#, nested(levels - 2))
    };
    let mut rows: Vec<BatchResult> = vec![result(1)];
    for (levels, line) in depths.into_iter().zip(2..) {
        let error = Some(nested(levels));
        rows.push(BatchResult { body: Some(body(levels).into_bytes()), error, ..result(line) });
    }
    store
        .begin_batch(&BatchRecord { usage: Some(nested(1500)), raw: Some(nested(1500).into()), ..batch() })
        .await
        .unwrap();
    store.append_batch_results(&chunk(ResultSource::Output, 1, rows.clone())).await.unwrap();
    let found = store.batch_results(&ResultFilter::of("default", "batch_1", 10)).await.unwrap();
    for (row, found) in rows.iter().zip(&found).skip(2) {
        assert_eq!(found.body, row.body, "line {}", row.line);
        assert_eq!(found.custom_id, row.custom_id);
        assert_eq!(serde_json::from_str::<String>(found.error.as_ref().unwrap()).ok(), row.error);
    }
    let texts = "SELECT line, output_text FROM batch_outputs ORDER BY line";
    let texts = fixture.select(texts).await;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(texts.len(), 5);
    assert_eq!(texts[0][1], text("answer 1"));
    assert_eq!((&texts[1][1], &texts[2][1], &texts[4][1]), (&text("128"), &None, &None));
    assert_eq!(fixture.select("SELECT error_code, error_message FROM batch_errors").await.len(), 4);
    let counts = fixture.select("SELECT rows_stored, rows_quarantined FROM batches").await;
    assert_eq!(counts, [[text("5"), text("3")]]);

    for (levels, number) in depths.into_iter().zip(1..) {
        let webhook_id = format!("wh_{number}");
        let new = NewEvent { body: nested(levels).into(), ..event(&webhook_id, "resp_1") };
        store.record_delivery(&new, 1).await.unwrap();
        let deep = ResponseRecord { metadata: Some(nested(levels)), ..response(&nested(levels)) };
        let deep = ResponseRecord { response_id: format!("resp_{number}"), ..deep };
        store.save_response(&deep, &completion(&webhook_id)).await.unwrap();
        let [Found::Response(found)] = &store.find(&deep.response_id).await.unwrap()[..] else { panic!() };
        let stripped = |raw: &[u8]| raw.iter().copied().filter(|byte| *byte != b' ').collect::<Vec<u8>>();
        assert_eq!(found.raw.as_deref().map(stripped), deep.raw.as_deref().map(stripped));
        let [Found::Event(found)] = &store.find(&webhook_id).await.unwrap()[..] else { panic!() };
        assert_eq!(found.body, new.body);
    }
}

/// Rows of an old version that SQLite itself cannot read.
pub(crate) async fn deep_rows_of_an_old_version_do_not_break_the_views(fixture: Fixture) {
    if fixture.is_postgres() {
        return;
    }
    fixture.store.begin_batch(&batch()).await.unwrap();
    fixture
        .store
        .append_batch_results(&chunk(ResultSource::Output, 1, vec![result(1), result(2)]))
        .await
        .unwrap();
    fixture.execute(&format!("UPDATE batch_results SET body = '{}' WHERE line = 2", nested(5000))).await;
    let texts = fixture.select("SELECT output_text FROM batch_outputs ORDER BY line").await;
    assert_eq!(texts, [[Some("answer 1".to_owned())], [None]]);

    // They can be imported into PostgreSQL.
    let mut export = Vec::new();
    fixture.store.export(&mut export).await.unwrap();
    let target = Fixture::on_postgres().await;
    target.store.import(&mut export.as_slice(), false).await.unwrap();
    let rows = target.store.batch_results(&ResultFilter::of("default", "batch_1", 10)).await.unwrap();
    assert_eq!(rows[1].body.as_deref(), Some(nested(5000).as_bytes()));
    assert_eq!(target.select("SELECT count(*) FROM batch_outputs").await, [[Some("2".to_owned())]]);
}

pub(crate) async fn ids_of_any_length_are_imported(fixture: Fixture) {
    let id = random_text(9000);
    fixture.store.record_delivery(&event("wh_1", &id), 1).await.unwrap();
    fixture.store.begin_batch(&batch()).await.unwrap();
    let long = BatchResult { custom_id: Some(id.clone()), ..result(1) };
    fixture.store.append_batch_results(&chunk(ResultSource::Output, 1, vec![long])).await.unwrap();
    let mut export = Vec::new();
    fixture.store.export(&mut export).await.unwrap();
    // As exported by an old version.
    let kept = fixture.store.find("wh_1").await.unwrap();
    let [Found::Event(kept)] = &kept[..] else { panic!() };
    let export = String::from_utf8(export).unwrap().replace(kept.object_id.as_ref().unwrap(), &id);
    for target in [Fixture::on_sqlite().await, Fixture::on_postgres().await] {
        target.store.import(&mut export.as_bytes(), false).await.unwrap();
        assert_eq!(target.store.events_about(&id).await.unwrap().len(), 1);
        let mut filter = ResultFilter::of("default", "batch_1", 10);
        filter.custom_id = Some(id.clone());
        assert_eq!(target.store.batch_results(&filter).await.unwrap().len(), 1);
    }
}

/// A user's constraint, in either dialect.
pub(crate) async fn refuse(fixture: &Fixture, table: &str, column: &str, value: &str) {
    let statement = if fixture.is_postgres() {
        format!("ALTER TABLE {table} ADD CONSTRAINT none_of_these CHECK ({column} <> '{value}')")
    } else {
        format!(
            "CREATE TRIGGER refuse BEFORE INSERT ON {table} WHEN NEW.{column} = '{value}' \
             BEGIN SELECT RAISE(ABORT, 'none_of_these'); END"
        )
    };
    fixture.execute(&statement).await;
}

pub(crate) async fn a_line_that_the_database_rejects_affects_no_other_line(fixture: Fixture) {
    refuse(&fixture, "batch_results", "custom_id", "request-00777").await;
    fixture.store.begin_batch(&batch()).await.unwrap();
    let rows = (1..=1000).map(result).collect();
    fixture.store.append_batch_results(&chunk(ResultSource::Output, 1, rows)).await.unwrap();
    let errors =
        fixture.select("SELECT line, error_code, error_message, quarantined FROM batch_errors").await;
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(error[0].as_deref(), Some("777"));
    assert_eq!(error[1].as_deref(), Some("value_refused"));
    assert!(error[2].as_ref().unwrap().contains("none_of_these"), "{error:?}");
    let found = fixture.store.batch_results(&ResultFilter::of("default", "batch_1", 2000)).await.unwrap();
    assert_eq!(found.len(), 1000);
    assert_eq!(found[776].body, result(777).body);
    let counts = fixture.select("SELECT rows_stored, rows_quarantined, output_next_line FROM batches").await;
    assert_eq!(counts, [["1000", "1", "1001"].map(|count| Some(count.to_owned()))]);
}

pub(crate) async fn a_value_that_the_database_rejects_is_a_permanent_error_with_its_cause(fixture: Fixture) {
    refuse(&fixture, "responses", "model", "gpt-5.6-sol").await;
    let refused = fixture.store.save_response(&response("{}"), &completion("wh_1")).await.unwrap_err();
    assert_eq!((refused.reason(), refused.is_retryable()), (Reason::ValueRefused, false), "{refused:?}");
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.contains("none_of_these"), "{cause}");
}
