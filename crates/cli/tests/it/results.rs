//! `landfall results`, `landfall export` and `landfall prune`.

use std::io::Read as _;
use std::process::Stdio;

use store::{BatchEnd, BatchRecord, Failure, Found, StoredBatch};
use webhook::{EventState, FetchState, Reason};

use crate::command::command;
use crate::filled::Filled;
use crate::show::{assert_contains, run};

async fn results_are_listed_by_line_and_filtered(filled: Filled) {
    let ended = run(&filled, &["results", "batch_1"]).with_code(0);
    ended.fits_80_columns();
    assert_eq!(ended.stdout.lines().count(), 52, "{}", ended.stdout);
    assert!(ended.stderr.contains("--limit") && ended.stderr.contains("--after output:50"), "{ended:#?}");
    let next = run(&filled, &["results", "batch_1", "--after", "output:50", "--limit", "2"]).with_code(0);
    assert!(next.stdout.contains("output 51 ") && !next.stdout.contains("output 50 "), "{}", next.stdout);

    let all = run(&filled, &["results", "batch_1", "--json"]).with_code(0);
    assert_eq!(run(&filled, &["results", "batch_1", "--format", "jsonl"]).with_code(0).stdout, all.stdout);
    let all = all.json_lines();
    assert_eq!(all.len(), 1200);
    assert_eq!((&all[1198]["line"], &all[1199]["source"]), (&1199.into(), &"error".into()));
    assert!(all[7]["body"]["choices"].is_array());

    let errors = run(&filled, &["results", "batch_1", "--errors", "--json"]).with_code(0).json();
    assert_eq!(errors["error"]["code"], "batch_expired");
    let one = run(&filled, &["results", "batch_1", "--custom-id", "item-700", "--json"]).with_code(0).json();
    assert_eq!(one["line"], 700);
    assert_eq!(run(&filled, &["results", "batch_1", "--status", "2xx", "--json"]).json_lines().len(), 1199);
    for none in
        [&["--custom-id", "item-0"][..], &["--status", "429"], &["--status", "5xx", "--format", "csv"]]
    {
        let ended = run(&filled, &[&["results", "batch_1"], none].concat()).with_code(1);
        assert_eq!(ended.stdout, "");
    }
    run(&filled, &["results", "batch_2"]).with_code(1);
    run(&filled, &["export", "batch_2"]).with_code(1);
}

/// Several pages, each with a header.
async fn a_table_may_be_as_long_as_the_batch(filled: Filled) {
    let ended = run(&filled, &["results", "batch_1", "--limit", "1000000"]).with_code(0);
    let rows = ended.stdout.lines().filter(|line| line.starts_with("output ") || line.starts_with("error "));
    assert_eq!(rows.count(), 1200);
    assert_eq!(ended.stderr, "");
}

async fn an_export_has_all_results_and_is_atomic(filled: Filled) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("results");
    let path = file.to_str().unwrap();
    let lines = run(&filled, &["results", "batch_1", "--json"]).with_code(0).stdout;
    assert_eq!(run(&filled, &["export", "batch_1"]).with_code(0).stdout, lines);

    let ended = run(&filled, &["export", "batch_1", "--output", path]).with_code(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.contains("1,200 results")), ("", true));
    assert!(std::fs::read_to_string(&file).unwrap() == lines);
    // An existing file is replaced.
    run(&filled, &["export", "batch_1", "--format", "csv", "--output", path]).with_code(0);
    let mut csv = csv::Reader::from_path(&file).unwrap();
    let head: Vec<String> = csv.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(head[..3], ["source", "line", "custom_id"]);
    let records: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
    assert_eq!((records.len(), &records[6][2], &records[6][3]), (1200, "item-7", "200"));
    assert!(records[6][7].starts_with("Answer\n number 7 "), "{}", &records[6][7]);
    assert_eq!((&records[1199][0], &records[1199][10]), ("error", ""));
    assert!(records[1199][8].contains("batch_expired"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file is left");

    let nowhere = folder.path().join("none").join("results");
    let ended = run(&filled, &["export", "batch_1", "--output", nowhere.to_str().unwrap()]).with_code(3);
    assert!(ended.stderr.contains("cannot write"), "{ended:#?}");
}

async fn an_export_of_an_incomplete_batch_says_so(filled: Filled) {
    let Some(Found::Batch(StoredBatch { mut batch, .. })) = filled.store.find("batch_1").await.unwrap().pop()
    else {
        panic!("it is there");
    };
    batch.batch_id = "batch_2".to_owned();
    filled.store.begin_batch(&batch).await.unwrap();
    let ended = run(&filled, &["export", "batch_2", "--format", "csv"]).with_code(1);
    assert_eq!(ended.stdout.lines().count(), 1);
    assert!(ended.stderr.contains("its import did not finish; run `landfall fetch batch_2`"), "{ended:#?}");
}

/// Adds a batch row without results.
async fn without_results(filled: &Filled, batch_id: &str, change: impl FnOnce(&mut BatchRecord)) {
    let Some(Found::Batch(StoredBatch { mut batch, .. })) = filled.store.find("batch_1").await.unwrap().pop()
    else {
        panic!("it is there");
    };
    batch.batch_id = batch_id.to_owned();
    change(&mut batch);
    filled.store.begin_batch(&batch).await.unwrap();
}

async fn a_batch_that_failed_validation_says_so(filled: Filled) {
    let errors = r#"{"object":"list","data":[{"code":"invalid_json_line","message":"This line is no JSON.","line":3}]}"#;
    without_results(&filled, "batch_2", |batch| {
        (batch.status, batch.errors) = (Some("failed".to_owned()), Some(errors.to_owned()));
        (batch.output_file_id, batch.error_file_id) = (None, None);
    })
    .await;
    let done = filled.add_event("wh_failed", "batch.failed", Some("batch_2"), 5).await;
    filled.store.finish_batch("batch_2", BatchEnd::Complete, &done).await.unwrap();
    let words =
        "it failed validation, so it has no results: invalid_json_line: This line is no JSON. (line 3)";
    for arguments in [&["results", "batch_2"][..], &["results", "batch_2", "--json"], &["export", "batch_2"]]
    {
        let ended = run(&filled, arguments).with_code(1);
        assert!(ended.stderr.contains(words), "{ended:#?}");
        assert_eq!(ended.stdout, "");
    }
    let shown = run(&filled, &["show", "batch_2"]).with_code(0).stdout;
    assert!(shown.contains("it failed validation") && !shown.contains(", complete"), "{shown}");

    without_results(&filled, "batch_3", |batch| {
        batch.status = Some("cancelled".to_owned());
        (batch.output_file_id, batch.error_file_id) = (None, None);
    })
    .await;
    let done = filled.add_event("wh_cancelled", "batch.cancelled", Some("batch_3"), 5).await;
    filled.store.finish_batch("batch_3", BatchEnd::Complete, &done).await.unwrap();
    let ended = run(&filled, &["export", "batch_3"]).with_code(1);
    assert!(ended.stderr.contains("it has no results; its status is cancelled"), "{ended:#?}");
}

async fn a_batch_that_waits_or_was_given_up_is_not_said_to_be_under_way(filled: Filled) {
    let fail = async |webhook_id: &str, state: EventState, reason: Reason| {
        let failure = Failure {
            project: "default".to_owned(),
            webhook_id: webhook_id.to_owned(),
            attempts: 3,
            state,
            reason,
            error: "so it\nwas".to_owned(),
            attempt: None,
            notifications: Vec::new(),
        };
        filled.store.fail_event(&failure).await.unwrap();
    };
    let says = |batch_id: &str, words: &str| {
        for verb in ["export", "results"] {
            let ended = run(&filled, &[verb, batch_id]).with_code(1);
            assert!(ended.stderr.contains(words), "{words:?} is missing in {ended:#?}");
            assert!(!ended.stderr.contains("under way"), "{ended:#?}");
        }
    };
    // With a row, and without one because the object was never fetched.
    without_results(&filled, "batch_2", |_| ()).await;
    for (batch_id, webhook_id) in [("batch_2", "wh_2"), ("batch_3", "wh_3")] {
        filled.add_event(webhook_id, "batch.completed", Some(batch_id), 5).await;
        says(batch_id, "a worker is importing it");
        fail(webhook_id, EventState::Retrying, Reason::Unauthorized).await;
        says(batch_id, "it is waiting for a retry (unauthorized: so it was); `landfall retry --all`");
        fail(webhook_id, EventState::Dead, Reason::GaveUp).await;
        says(batch_id, "its event is a dead letter (gave_up: so it was); see `landfall dead list`");
    }
    let shown = run(&filled, &["show", "batch_2"]).with_code(0).stdout;
    assert!(shown.contains("is a dead letter") && !shown.contains("more to come"), "{shown}");
    says("batch_4", "no batch found with ID batch_4");
    without_results(&filled, "batch_5", |batch| {
        (batch.fetch_state, batch.fetched_at) = (FetchState::NotFound.into(), None);
    })
    .await;
    says("batch_5", "OpenAI does not know it");
}

async fn old_rows_are_counted_and_then_deleted(filled: Filled) {
    let pruned = |arguments: &[&str]| {
        let arguments = [&["prune", "--json", "--yes", "--older-than"], arguments].concat();
        let lines = run(&filled, &arguments).with_code(0).json_lines();
        ["objects", "results", "events", "files", "file_bytes"]
            .map(|name| lines.iter().map(|line| line[name].as_u64().unwrap()).sum::<u64>())
    };
    // All were received at the same time; the newest event, of the eval run, is kept.
    assert_eq!(pruned(&["30d"]), [0; 5]);
    let all = [4, 1200, 3, 1, 14];
    assert_eq!(pruned(&["0s", "--dry-run"]), all);
    let ended = run(&filled, &["prune", "--older-than", "0s", "--dry-run"]).with_code(0);
    ended.fits_80_columns();
    assert_contains(&ended, &["batch ", "1,200", "14 B", "would be deleted"]);
    assert_eq!(pruned(&["0s", "--family", "batch"]), [1, 1200, 1, 1, 14]);
    run(&filled, &["show", "batch_1"]).with_code(1);
    run(&filled, &["show", "file-out"]).with_code(1);
    assert_eq!(pruned(&["0s"]), [3, 0, 2, 0, 0]);
    assert_eq!(pruned(&["0s"]), [0; 5]);
    run(&filled, &["prune"]).with_code(2);
}

#[tokio::test]
async fn a_closed_pipe_is_not_an_error() {
    let filled = Filled::with_everything().await;
    let settings = filled.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for arguments in [&["results", "batch_1", "--json"][..], &["export", "batch_1", "--format", "csv"]] {
        let mut child =
            command(&settings).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 10];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), &b""[..]));
    }
}

#[test]
fn help_lists_the_formats() {
    for verb in ["results", "export"] {
        let ended = crate::command::landfall(&[], &[verb, "--help"]).with_code(0);
        assert_contains(&ended, &["jsonl", "csv", "Examples:", "Exit code"]);
    }
}

on_both_databases!(
    results_are_listed_by_line_and_filtered,
    a_table_may_be_as_long_as_the_batch,
    an_export_has_all_results_and_is_atomic,
    an_export_of_an_incomplete_batch_says_so,
    a_batch_that_failed_validation_says_so,
    a_batch_that_waits_or_was_given_up_is_not_said_to_be_under_way,
    old_rows_are_counted_and_then_deleted,
);
