//! OpenAI may report that a batch has ended some seconds before it names the files.

use fake_openai::{Fault, FaultKind};
use serde_json::{Value, json};
use webhook::{EventState, Reason};

use crate::harness::{Database, Landfall};

/// A fault that hides these file ids of the batch.
fn unnamed(batch_id: &str, names: &[&str]) -> Fault {
    let fields = names.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
    Fault::at_end(FaultKind::Fields(fields), batch_id)
}

/// Adds a batch with two lines of output and one of errors.
fn add_batch(landfall: &Landfall, status: &str) -> String {
    let id = format!("batch_{status}");
    let (output, error) = (format!("file-{status}-output"), format!("file-{status}-error"));
    landfall.fake.add_file(&output, &json!({}), "{\"custom_id\":\"a\"}\n{\"custom_id\":\"b\"}\n");
    landfall.fake.add_file(&error, &json!({}), "{\"custom_id\":\"c\",\"error\":{\"code\":\"x\"}}\n");
    landfall.fake.add_batch(json!({
        "id": id, "status": status, "output_file_id": output, "error_file_id": error,
        "request_counts": {"total": 3, "completed": 2, "failed": 1},
    }));
    id
}

async fn files_that_are_not_named_yet_are_asked_for_until_they_are(database: Database) {
    let landfall = Landfall::start_on(database).await;
    for (status, missing) in [
        ("completed", &["output_file_id", "error_file_id"][..]),
        ("expired", &["output_file_id"]),
        ("cancelled", &["error_file_id"]),
        ("failed", &["output_file_id"]),
    ] {
        let batch = add_batch(&landfall, status);
        landfall.fake.inject(unnamed(&batch, missing));
        let id = landfall.send(&format!("batch.{status}"), &batch).await;
        let waiting = landfall.event_when(&id, |event| event.attempts > 2).await;
        assert_eq!((waiting.state, waiting.reason), (EventState::Retrying, Some(Reason::NotTerminal)));
        assert!(waiting.last_error.unwrap().contains("does not name all of its result files"));
        let row = landfall.show(&batch);
        assert_eq!((&row["status"], &row["results_complete"]), (&status.into(), &false.into()), "{row}");

        landfall.fake.clear_faults();
        landfall.settled().await;
        let event = landfall.event(&id).await.unwrap();
        assert_eq!((event.state, event.reason), (EventState::Stored, None), "{:?}", event.last_error);
        let row = landfall.show(&batch);
        assert_eq!((&row["rows_stored"], &row["results_state"]), (&3.into(), &"complete".into()), "{row}");
    }
}

async fn a_file_that_is_never_named_ends_as_a_mismatch_that_fetch_missing_takes(database: Database) {
    let landfall = Landfall::start_on_with(database, 1, &[("RETRY_FOR_SECS", "4")]).await;
    let mut sent = Vec::new();
    for (status, missing) in [("completed", "output_file_id"), ("expired", "error_file_id")] {
        let batch = add_batch(&landfall, status);
        landfall.fake.inject(unnamed(&batch, &[missing]));
        sent.push(landfall.send(&format!("batch.{status}"), &batch).await);
    }
    landfall.settled().await;
    for id in &sent {
        let event = landfall.event(id).await.unwrap();
        assert_eq!((event.state, event.reason), (EventState::Stored, None), "{:?}", event.last_error);
        assert!(event.attempts > 1);
    }
    assert_eq!(landfall.status()["total"]["dead"], 0);
    for (batch, rows) in [("batch_completed", 1), ("batch_expired", 2)] {
        let row = landfall.show(batch);
        assert_eq!((&row["rows_stored"], &row["results_state"]), (&rows.into(), &"mismatch".into()), "{row}");
    }

    landfall.fake.clear_faults();
    let output = landfall.landfall(&["fetch", "--missing"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for batch in ["batch_completed", "batch_expired"] {
        let row = landfall.show(batch);
        assert_eq!((&row["rows_stored"], &row["results_state"]), (&3.into(), &"complete".into()), "{row}");
    }
    let output = landfall.landfall(&["fetch", "--missing"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("no objects are missing"), "{output:?}");
}

on_both_databases!(
    files_that_are_not_named_yet_are_asked_for_until_they_are,
    a_file_that_is_never_named_ends_as_a_mismatch_that_fetch_missing_takes
);
