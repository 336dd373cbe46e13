//! The first download of a batch's file may be incomplete, or an error page. Fetching the batch again downloads it again; a
//! stored file is only replaced by a more complete one.

use fake_openai::{Fault, FaultKind};
use serde_json::{Value, json};
use store::ResultRow;
use webhook::EventState;

use crate::harness::{Database, Landfall};

const FILE: &str = "{\"custom_id\":\"a\",\"response\":{\"status_code\":200,\"body\":{\"n\":1}}}\n\
    {\"custom_id\":\"b\",\"response\":{\"status_code\":200,\"body\":{\"n\":2}}}\n\
    {\"custom_id\":\"c\",\"response\":{\"status_code\":200,\"body\":{\"n\":3}}}\n\
    {\"custom_id\":\"d\",\"response\":{\"status_code\":200,\"body\":{\"n\":4}}}\n\
    {\"custom_id\":\"e\",\"response\":{\"status_code\":200,\"body\":{\"n\":5}}}\n";

fn first_lines(lines: usize) -> String {
    FILE.split_inclusive('\n').take(lines).collect()
}

/// Stores a batch of five requests whose file is [`FILE`], except for the first download. The file object has no size.
/// Returns the webhook-id of the event.
async fn stored_from(landfall: &Landfall, batch: &str, first: String) -> String {
    let file = format!("file-{batch}");
    landfall.fake.add_file(&file, &json!({"bytes": null}), FILE);
    let counts = json!({"total": 5, "completed": 5, "failed": 0});
    landfall.fake.add_batch(
        json!({"id": batch, "status": "completed", "output_file_id": file, "request_counts": counts}),
    );
    next_download_is(landfall, batch, first);
    let id = landfall.send("batch.completed", batch).await;
    landfall.settled().await;
    assert_eq!(landfall.event(&id).await.unwrap().state, EventState::Stored);
    id
}

fn next_download_is(landfall: &Landfall, batch: &str, body: String) {
    let path = format!("/files/file-{batch}/content");
    landfall.fake.inject(Fault::times(FaultKind::Body(body), &path, 1));
}

fn downloads(landfall: &Landfall) -> usize {
    landfall.fake.requests().iter().filter(|request| request.path.ends_with("/content")).count()
}

fn fetch(landfall: &Landfall, arguments: &[&str]) {
    let output = landfall.landfall(&[&["fetch"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// Everything that could change.
async fn everything(landfall: &Landfall, batch: &str) -> (Value, Vec<u8>, Vec<(i64, bool, Option<Vec<u8>>)>) {
    let row = |row: ResultRow| (row.line, row.quarantined, row.body);
    let rows = landfall.rows(batch).await.into_iter().map(row).collect();
    (landfall.show(batch), landfall.stored_file(batch, &format!("file-{batch}")), rows)
}

async fn is_whole(landfall: &Landfall, batch: &str) {
    assert_eq!(landfall.custom_ids(batch).await, ["a", "b", "c", "d", "e"]);
    let row = landfall.show(batch);
    assert_eq!((&row["results_state"], &row["rows_quarantined"]), (&"complete".into(), &0.into()), "{row}");
    let file = format!("file-{batch}");
    assert_eq!(landfall.stored_file(batch, &file), FILE.as_bytes());
    let shown = landfall.show(&file);
    assert_eq!(
        (&shown["bytes"], &shown["location"]),
        (&FILE.len().into(), &format!("default/{batch}/{file}").into())
    );
    let beside = std::fs::read_dir(landfall.file(batch, &file).parent().unwrap()).unwrap();
    assert_eq!(beside.count(), 1, "the old file is gone");
}

async fn a_file_that_was_half_or_none_at_first_is_replaced_by_a_fetch(database: Database) {
    let landfall = Landfall::start_on(database).await;
    for (batch, first, quarantined) in [
        ("batch_half", first_lines(2), 0),
        ("batch_page", "<html>\n<body>One moment.</body>\n</html>\n".to_owned(), 3),
        ("batch_error", r#"{"error":{"code":"server_error","message":"Not now."}}"#.to_owned(), 1),
        ("batch_mixed", format!("{}<html>", first_lines(4)), 1),
    ] {
        stored_from(&landfall, batch, first).await;
        let row = landfall.show(batch);
        let expected = if batch == "batch_mixed" { "complete" } else { "mismatch" };
        assert_eq!(
            (&row["results_state"], &row["rows_quarantined"]),
            (&expected.into(), &quarantined.into())
        );
        // Another webhook about the same batch does not download it again.
        landfall.fake.clear_requests();
        landfall.send("batch.completed", batch).await;
        landfall.settled().await;
        assert_eq!(downloads(&landfall), 0);

        fetch(&landfall, &[batch]);
        assert_eq!(downloads(&landfall), 1);
        is_whole(&landfall, batch).await;
        // The batch is complete, so it is not downloaded again.
        fetch(&landfall, &[batch]);
        assert_eq!(downloads(&landfall), 1);
    }
}

async fn a_replay_and_fetch_missing_read_it_again_too(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let id = stored_from(&landfall, "batch_replayed", first_lines(1)).await;
    let output = landfall.landfall(&["replay", &id]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    landfall.settled().await;
    is_whole(&landfall, "batch_replayed").await;

    stored_from(&landfall, "batch_missed", first_lines(4)).await;
    fetch(&landfall, &["--missing"]);
    is_whole(&landfall, "batch_missed").await;
}

async fn the_same_file_again_changes_nothing_and_is_no_longer_missing(database: Database) {
    let landfall = Landfall::start_on(database).await;
    stored_from(&landfall, "batch_short", first_lines(3)).await;
    next_download_is(&landfall, "batch_short", first_lines(3));
    let (mut row, file, rows) = everything(&landfall, "batch_short").await;
    assert_eq!((&row["results_state"], &row["results_confirmed_at"]), (&"mismatch".into(), &Value::Null));
    let output = landfall.landfall(&["fetch", "--missing"]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        printed.contains("mismatch   batch_short") && printed.contains("not one per request"),
        "{printed}"
    );
    assert_eq!(downloads(&landfall), 2);

    let after = everything(&landfall, "batch_short").await;
    assert!(after.0["results_confirmed_at"].is_string(), "{}", after.0);
    row["results_confirmed_at"] = after.0["results_confirmed_at"].clone();
    assert_eq!(after, (row, file, rows));
    let output = landfall.landfall(&["fetch", "--missing"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("no objects are missing"), "{output:?}");
    assert_eq!(downloads(&landfall), 2);
    // A fetch by id always downloads it again.
    fetch(&landfall, &["batch_short"]);
    is_whole(&landfall, "batch_short").await;
}

async fn a_file_that_is_worse_or_does_not_come_leaves_all_as_it_was(database: Database) {
    let landfall = Landfall::start_on(database).await;
    stored_from(&landfall, "batch_better", first_lines(3)).await;
    let before = everything(&landfall, "batch_better").await;
    for worse in [first_lines(2), "<html>One moment.</html>\n".repeat(10), String::new()] {
        for _ in 0..5 {
            next_download_is(&landfall, "batch_better", worse.clone());
        }
        landfall.fake.clear_requests();
        fetch(&landfall, &["batch_better"]);
        assert_eq!(downloads(&landfall), 5, "the failed download was not retried");
        assert_eq!(everything(&landfall, "batch_better").await, before);
    }
    landfall.fake.inject(Fault::always(FaultKind::Status(500), "/content"));
    let output = landfall.landfall(&["fetch", "batch_better", "--wait-secs", "2"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(everything(&landfall, "batch_better").await, before);
    landfall.fake.clear_faults();
    landfall.settled().await;
    is_whole(&landfall, "batch_better").await;
}

async fn a_file_that_is_gone_leaves_what_is_stored_and_is_not_missed_for_ever(database: Database) {
    let landfall = Landfall::start_on(database).await;
    stored_from(&landfall, "batch_gone", first_lines(3)).await;
    let (before, ..) = everything(&landfall, "batch_gone").await;
    landfall.fake.remove("file-batch_gone");
    fetch(&landfall, &["--missing"]);
    let row = landfall.show("batch_gone");
    assert_eq!((&row["rows_stored"], &row["fetch_state"]), (&before["rows_stored"], &"fetched".into()));
    let output = landfall.landfall(&["fetch", "--missing"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("no objects are missing"), "{output:?}");
}

on_both_databases!(
    a_file_that_was_half_or_none_at_first_is_replaced_by_a_fetch,
    a_replay_and_fetch_missing_read_it_again_too,
    the_same_file_again_changes_nothing_and_is_no_longer_missing,
    a_file_that_is_worse_or_does_not_come_leaves_all_as_it_was,
    a_file_that_is_gone_leaves_what_is_stored_and_is_not_missed_for_ever
);
