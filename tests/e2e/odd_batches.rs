//! Batches that differ from the documentation: every line is stored as a row, whatever it contains, and both files are
//! stored byte for byte.

use fake_openai::{Fault, FaultKind};
use serde_json::{Value, json};
use store::ResultSource;
use webhook::{EventState, Reason};

use crate::harness::{Database, Landfall};

/// Adds a batch with these files to fake-openai, sends its event, and waits until it is settled.
async fn imported(database: Database, files: &[(ResultSource, &[u8])], more: Value) -> Landfall {
    let landfall = Landfall::start_on(database).await;
    let mut batch =
        json!({"id": "batch_odd", "status": "completed", "output_file_id": null, "error_file_id": null});
    for (name, value) in more.as_object().into_iter().flatten() {
        batch[name] = value.clone();
    }
    for (source, content) in files {
        let file_id = format!("file-{source}");
        landfall.fake.add_file(&file_id, &json!({}), content.to_vec());
        batch[format!("{source}_file_id")] = file_id.into();
    }
    landfall.fake.add_batch(batch);
    let id = landfall.send("batch.completed", "batch_odd").await;
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.attempts), (EventState::Stored, 1), "{:?}", event.last_error);
    for (source, content) in files {
        let stored_bytes = std::fs::read(landfall.file("batch_odd", &format!("file-{source}"))).unwrap();
        assert!(stored_bytes == *content, "the {source} file is not stored byte for byte");
    }
    landfall
}

async fn a_completed_batch_may_have_only_errors_in_both_shapes(database: Database) {
    let errors = br#"{"id":"batch_req_1","custom_id":"a","response":null,"error":{"code":"batch_expired","message":"Too late."}}
{"id":"batch_req_1","custom_id":"b","response":{"status_code":400,"request_id":"","body":{"error":{"code":"bad","message":"No."}}},"error":null}
"#;
    let counts = json!({"request_counts": {"total": 2, "completed": 0, "failed": 2}});
    let landfall = imported(database, &[(ResultSource::Error, errors)], counts).await;
    let rows = landfall.rows("batch_odd").await;
    let read = |index: usize| {
        let row = &rows[index];
        let error: Value = serde_json::from_str(row.error.as_deref().unwrap()).unwrap();
        (row.custom_id.as_deref().unwrap(), row.status_code, error)
    };
    assert_eq!(read(0), ("a", None, json!({"code": "batch_expired", "message": "Too late."})));
    assert_eq!(read(1), ("b", Some(400), json!({"code": "bad", "message": "No."})));
    assert_eq!((rows[1].request_id.as_deref(), rows.len()), (None, 2));
    assert_eq!(landfall.show("batch_odd")["results_complete"], true);
    let log = landfall.workers[0].log_when(|log| log.iter().any(|line| line.contains("\"outcome\""))).await;
    assert!(!log.join("\n").contains("one line per request"), "{log:#?}");
}

async fn empty_file_ids_are_no_files(database: Database) {
    let landfall =
        imported(database, &[], json!({"output_file_id": "", "error_file_id": "", "request_counts": null}))
            .await;
    let batch = landfall.show("batch_odd");
    assert_eq!((&batch["rows_stored"], &batch["results_complete"]), (&0.into(), &true.into()));
    assert_eq!((&batch["output_file_id"], &batch["error_file_id"]), (&Value::Null, &Value::Null));
    assert_eq!(landfall.fake.requests().len(), 1, "more than the batch was fetched");
}

async fn every_odd_line_of_a_result_file_ends_as_a_row(database: Database) {
    let answer = |custom_id: &str, body: &str| {
        format!(
            r#"{{"id":"batch_req_same","custom_id":"{custom_id}","response":{{"status_code":200,"body":{body}}},"error":null}}"#
        )
    };
    let good = answer("z", r#"{"n":1}"#);
    let lines: [Vec<u8>; 10] = [
        good.clone().into(),
        b"this is no JSON".to_vec(),
        answer("nul", r#"{"text":"a\u0000b"}"#).into(),
        answer("lone", r#"{"text":"a\ud800b"}"#).into(),
        answer("huge", r#"{"n":1e400000}"#).into(),
        b"[\"JSON, but no result\"]".to_vec(),
        b"{\"custom_id\":\"\xff\"}".to_vec(),
        // A repeated custom_id and line id, not in the order of the input.
        good.into(),
        answer("a", r#"{"n":2}"#).into(),
        answer("\\u0000\\ud800", r#"{"n":3}"#).into(),
    ];
    let mut file = lines[..5].join(&b"\r\n"[..]);
    // A blank line is not a result; the last line has no newline.
    file.extend_from_slice(b"\r\n\n  \n");
    file.extend_from_slice(&lines[5..].join(&b"\n"[..]));
    let counts = json!({"request_counts": {"total": 10, "completed": 10, "failed": 0}});
    let landfall = imported(database, &[(ResultSource::Output, &file)], counts).await;

    let rows = landfall.rows("batch_odd").await;
    let ids: Vec<Option<&str>> = rows.iter().map(|row| row.custom_id.as_deref()).collect();
    let bent = Some("\u{fffd}\u{fffd}");
    assert_eq!(
        ids,
        [Some("z"), None, Some("nul"), Some("lone"), Some("huge"), None, None, Some("z"), Some("a"), bent]
    );
    let line_numbers: Vec<i64> = rows.iter().map(|row| row.line).collect();
    assert_eq!(line_numbers, [1, 2, 3, 4, 5, 8, 9, 10, 11, 12]);
    let bodies: Vec<&[u8]> = rows.iter().map(|row| row.body.as_deref().unwrap()).collect();
    assert_eq!(bodies[2], br#"{"text":"a\u0000b"}"#);
    assert_eq!((bodies[3], bodies[4]), (&br#"{"text":"a\ud800b"}"#[..], &br#"{"n":1e400000}"#[..]));
    for quarantined in [1, 5, 6] {
        assert!(rows[quarantined].quarantined && bodies[quarantined] == lines[quarantined]);
    }
    let batch = landfall.show("batch_odd");
    // Three lines are not results, and three more cannot be stored in a JSON column.
    assert_eq!((&batch["rows_stored"], &batch["rows_quarantined"]), (&10.into(), &6.into()));
    assert_eq!(batch["results_complete"], true);
    // The output for scripts is still JSON.
    let shown = landfall.landfall(&["results", "batch_odd", "--json"]).stdout;
    let shown: Vec<Value> =
        shown.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    assert_eq!(shown.len(), 10);
    let same = landfall.landfall(&["results", "batch_odd", "--custom-id", "z", "--json"]).stdout;
    assert_eq!(same.iter().filter(|byte| **byte == b'\n').count(), 2);
}

async fn a_line_of_five_megabytes_is_one_row(database: Database) {
    let image = "A".repeat(5 << 20);
    let mut file =
        format!(r#"{{"custom_id":"image","response":{{"status_code":200,"body":{{"result":"{image}"}}}}}}"#);
    file.push_str("\n{\"custom_id\":\"next\"}\n");
    let landfall = imported(database, &[(ResultSource::Output, file.as_bytes())], json!({})).await;
    let rows = landfall.rows("batch_odd").await;
    assert_eq!(rows.len(), 2);
    let body: Value = serde_json::from_slice(rows[0].body.as_ref().unwrap()).unwrap();
    assert_eq!(body["result"].as_str().map(str::len), Some(image.len()));
    assert_eq!(rows[1].custom_id.as_deref(), Some("next"));
}

async fn files_that_do_not_have_one_line_a_request_are_reported(database: Database) {
    let counts = json!({"request_counts": {"total": 5, "completed": 5, "failed": 0}});
    let file = b"{\"custom_id\":\"a\"}\n{\"custom_id\":\"b\"}\n";
    let landfall = imported(database, &[(ResultSource::Output, file)], counts).await;
    let batch = landfall.show("batch_odd");
    assert_eq!((&batch["requests_total"], &batch["rows_stored"]), (&5.into(), &2.into()));
    let logged =
        |line: &String| line.contains("\"requests\":5,\"lines\":2") && line.contains("one line per request");
    landfall.workers[0].log_when(|log| log.iter().any(logged)).await;
    let text = String::from_utf8(landfall.landfall(&["show", "batch_odd"]).stdout).unwrap();
    assert!(text.contains("2 rows stored, differs from the number of requests"), "{text}");
    assert_eq!(batch["results_state"], "mismatch", "a mismatch is a state, not an error");
}

async fn a_result_file_that_expired_before_we_came_marks_the_batch(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let (output, error) = ("file-expired", "file-still-there");
    landfall.fake.add_file(error, &json!({}), &b"{\"custom_id\":\"a\",\"error\":{\"code\":\"x\"}}\n"[..]);
    landfall.fake.add_batch(
        json!({"id": "batch_gone", "status": "expired", "output_file_id": output, "error_file_id": error}),
    );
    let id = landfall.send("batch.expired", "batch_gone").await;
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.reason), (EventState::Stored, Some(Reason::NotFound)));
    assert!(event.attempts >= 3, "a missing file was not retried");
    let batch = landfall.show("batch_gone");
    assert_eq!((&batch["fetch_state"], &batch["results_complete"]), (&"expired".into(), &false.into()));
    assert_eq!(batch["rows_stored"], 1, "the other file was not stored");
}

async fn a_file_shorter_than_openai_says_it_is_is_never_accepted(database: Database) {
    let landfall = Landfall::start_on(database).await;
    // The response is complete according to its Content-Length; only the file object has the real size.
    landfall.fake.inject(Fault::times(FaultKind::WrongContentLength { off_by: -100 }, "/content", 1));
    let id = landfall.send("batch.completed", "batch_demo_completed").await;
    let waiting = landfall.event_when(&id, |event| event.state == EventState::Retrying).await;
    assert_eq!(waiting.reason, Some(Reason::IncompleteDownload));
    landfall.settled().await;
    let batch = landfall.show("batch_demo_completed");
    assert_eq!((&batch["rows_stored"], &batch["results_complete"]), (&batch["requests_total"], &true.into()));
    let file_id = batch["output_file_id"].as_str().unwrap();
    let stored_bytes = std::fs::read(landfall.file("batch_demo_completed", file_id)).unwrap();
    assert_eq!(stored_bytes, landfall.fake.file_bytes(file_id).unwrap());
}

on_both_databases!(
    a_completed_batch_may_have_only_errors_in_both_shapes,
    empty_file_ids_are_no_files,
    every_odd_line_of_a_result_file_ends_as_a_row,
    a_line_of_five_megabytes_is_one_row,
    files_that_do_not_have_one_line_a_request_are_reported,
    a_result_file_that_expired_before_we_came_marks_the_batch,
    a_file_shorter_than_openai_says_it_is_is_never_accepted
);
