//! `landfall events` and `landfall show` on a filled database.

use serde_json::Value;
use sqlx::{Connection as _, Executor as _, SqliteConnection};

use crate::command::{Ended, landfall};
use crate::filled::{Filled, RESPONSE_ID, RESPONSE_RAW};

pub(crate) fn run(filled: &Filled, arguments: &[&str]) -> Ended {
    let settings = filled.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    landfall(&settings, arguments)
}

pub(crate) fn assert_contains(ended: &Ended, words: &[&str]) {
    for words in words {
        assert!(ended.stdout.contains(words), "{words:?} is missing in\n{}", ended.stdout);
    }
}

#[tokio::test]
async fn events_are_listed_newest_first_within_80_columns() {
    let filled = Filled::with_everything().await;
    filled.add_dead_event("wh_dead", &"a very long error ".repeat(20)).await;
    let ended = run(&filled, &["events"]).with_code(0);
    ended.fits_80_columns();
    // Ids are never truncated, so that they can be copied.
    assert_contains(
        &ended,
        &[RESPONSE_ID, "batch_1", "ftjob-1", "evalrun_1", "wh_dead", "gave_up: a very long error", "2h"],
    );
    let order: Vec<usize> = ["evalrun_1", "ftjob-1", "wh_dead", "batch_1", RESPONSE_ID]
        .iter()
        .map(|id| ended.stdout.find(id).unwrap())
        .collect();
    assert!(order.is_sorted(), "{}", ended.stdout);
}

#[tokio::test]
async fn events_are_filtered_by_family_state_age_and_number() {
    let filled = Filled::with_everything().await;
    filled.add_dead_event("wh_dead", "no").await;
    let ids = |arguments: &[&str]| {
        let arguments: Vec<&str> = ["events", "--json"].iter().chain(arguments).copied().collect();
        let lines = run(&filled, &arguments).with_code(0).json_lines();
        lines.iter().map(|line| line["webhook_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&[]), ["wh_run", "wh_job", "wh_dead", "wh_batch", "wh_response"]);
    assert_eq!(ids(&["--family", "batch"]), ["wh_batch"]);
    assert_eq!(ids(&["--state", "dead"]), ["wh_dead"]);
    assert_eq!(ids(&["--since", "90s", "--limit", "2"]), ["wh_run", "wh_job"]);
    assert_eq!(ids(&["--since", "2000-01-01"]).len(), 5);
    assert_eq!(ids(&["--family", "agent"]), [""; 0]);
}

#[tokio::test]
async fn a_json_line_of_events_has_the_row() {
    let filled = Filled::empty().await;
    filled.add_dead_event("wh_dead", "no luck").await;
    let line = run(&filled, &["events", "--json"]).with_code(0).json();
    assert_eq!(line["type"], "response.failed");
    assert_eq!(line["family"], "response");
    assert_eq!((&line["state"], &line["reason"]), (&"dead".into(), &"gave_up".into()));
    assert_eq!((&line["attempts"], &line["last_error"]), (&7.into(), &"no luck".into()));
    assert_eq!(line["object_id"], Value::Null);
    assert!(line["received_at"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn a_response_is_shown_with_its_text_and_each_source_once() {
    let filled = Filled::with_everything().await;
    let ended = run(&filled, &["show", RESPONSE_ID]).with_code(0);
    ended.fits_80_columns();
    assert_contains(
        &ended,
        &[
            "completed",
            "gpt-5.6-sol",
            "1,200 tokens in, 34,567 out",
            "from the API",
            "The answer is a long one.",
        ],
    );
    assert_contains(&ended, &["more lines", "sources (1)", "https://example.com/a"]);
    assert!(!ended.stdout.contains('\u{1b}'), "a title has an escape sequence: {}", ended.stdout);

    let json = run(&filled, &["show", RESPONSE_ID, "--json"]).with_code(0).json();
    assert_eq!((&json["kind"], &json["fetch_state"]), (&"response".into(), &"fetched".into()));
    assert_eq!(json["output_text"].as_str().unwrap().len(), 5200);
    assert_eq!((&json["usage"]["input_tokens"], &json["raw"]["id"]), (&1200.into(), &"resp_1".into()));

    let raw = run(&filled, &["show", RESPONSE_ID, "--raw"]).with_code(0);
    assert_eq!(raw.stdout, RESPONSE_RAW);
}

#[tokio::test]
async fn a_batch_is_shown_with_counts_and_first_results() {
    let filled = Filled::with_everything().await;
    let ended = run(&filled, &["show", "batch_1"]).with_code(0);
    ended.fits_80_columns();
    assert_contains(
        &ended,
        &["1,200: 1,199 completed, 1 failed", "1,200 rows stored, complete", "file-out", "file-err"],
    );
    assert_contains(&ended, &["item-1 ", "Answer number 1 long", "1,195 more: landfall results batch_1"]);
    let json = run(&filled, &["show", "batch_1", "--json"]).with_code(0).json();
    assert_eq!((&json["rows_stored"], &json["results_complete"]), (&1200.into(), &true.into()));
}

#[tokio::test]
async fn every_other_record_is_shown_too() {
    let filled = Filled::with_everything().await;
    filled.add_safety_alert().await;
    let cases: [(&str, &[&str]); 8] = [
        ("ftjob-1", &["succeeded", "98,765 tokens", "TRAIN_LOSS", "3.0000", "0.0300"]),
        ("ftjob-1", &["VALID_LOSS", "0.1234", "ckpt-step-50", "1, the newest", "LEVEL", "steps."]),
        ("ft:gpt-6-luna:acme::1", &["acme", "ftjob-1"]),
        ("evalrun_1", &["not found by the API"]),
        ("alert_1", &["safety alert alert_1", "a table", "paused", "yes", "resp_1", "from the API"]),
        ("file-out", &["batch_output", "sha256", "default/batch_1/file-out"]),
        ("wh_batch", &["batch.completed (family batch)", "stored", "\"id\": \"batch_1\""]),
        ("evt_of_wh_batch", &["wh_batch"]),
    ];
    for (id, words) in cases {
        let ended = run(&filled, &["show", id]).with_code(0);
        ended.fits_80_columns();
        assert_contains(&ended, words);
        run(&filled, &["show", id, "--json"]).with_code(0).json();
    }
    let job = run(&filled, &["show", "ftjob-1", "--json"]).with_code(0).json();
    assert_eq!((&job["checkpoints_state"], &job["events_state"]), (&"fetched".into(), &"truncated".into()));
    assert_eq!(job["checkpoints"][0]["metrics"]["full_valid_loss"], 0.1234);
    assert_eq!(job["events"][0]["type"], "message");
    let file = run(&filled, &["show", "file-out", "--raw"]).with_code(0);
    assert_eq!(file.stdout, "line 1\nline 2\n");
    run(&filled, &["show", "evalrun_1", "--raw"]).with_code(1);
}

#[tokio::test]
async fn an_unknown_id_is_exit_1() {
    let filled = Filled::empty().await;
    let ended = run(&filled, &["show", "resp_nowhere", "--json"]).with_code(1);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains("nothing found with ID resp_nowhere"), "{ended:#?}");
}

#[test]
fn a_missing_database_is_exit_3_and_is_not_created() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/none/landfall.db", folder.path().display());
    for arguments in [&["events"][..], &["show", "resp_1"], &["results", "batch_1"], &["export", "batch_1"]] {
        let ended = landfall(&[("DATABASE_URL", &url)], arguments).with_code(3);
        assert!(
            ended.stderr.contains("DATABASE_URL") && ended.stderr.contains("there is no database"),
            "{ended:#?}"
        );
        assert_eq!(ended.stdout, "");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn invalid_values_are_rejected_with_the_valid_ones() {
    for (arguments, words) in [
        (&["events", "--family", "batches"][..], "fine_tuning"),
        (&["events", "--state", "done"], "stored"),
        (&["events", "--since", "yesterday"], "1h"),
        (&["show"], "ID"),
        (&["show", "x", "--raw", "--json"], "--raw"),
        (&["events", "--limit", "0"], "--limit"),
        (&["results", "batch_1", "--status", "4x"], "4xx"),
        (&["results", "batch_1", "--after", "7"], "output:50"),
        (&["export", "batch_1", "--format", "table"], "jsonl"),
    ] {
        let ended = landfall(&[], arguments).with_code(2);
        assert!(ended.stderr.contains(words), "{ended:#?}");
    }
}

/// A later version may write them.
#[tokio::test]
async fn states_and_reasons_of_another_version_are_shown_as_they_are() {
    let filled = Filled::empty().await;
    filled.add_dead_event("wh_dead", "no luck").await;
    let url = filled.settings().into_iter().find(|(name, _)| *name == "DATABASE_URL").unwrap().1;
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    database.execute("UPDATE events SET family = 'video', state = 'asleep', reason = 'moon'").await.unwrap();
    let line = run(&filled, &["events", "--json"]).with_code(0).json();
    assert_eq!(
        (&line["family"], &line["state"], &line["reason"]),
        (&"video".into(), &"asleep".into(), &"moon".into())
    );
    assert_contains(&run(&filled, &["events"]).with_code(0), &["asleep", "moon: no luck"]);
    assert_contains(&run(&filled, &["show", "wh_dead"]).with_code(0), &["(family video)", "asleep", "moon"]);
    assert_contains(
        &run(&filled, &["replay", "wh_dead", "--dry-run"]).with_code(0),
        &["asleep", "1 event would be enqueued again"],
    );
    assert_contains(&run(&filled, &["replay", "--since", "7d", "--dry-run"]).with_code(0), &["asleep"]);
}

#[tokio::test]
async fn an_event_is_shown_with_its_attempts() {
    let filled = Filled::empty().await;
    filled.add_dead_event("wh_dead", "no luck").await;
    let url = filled.settings().into_iter().find(|(name, _)| *name == "DATABASE_URL").unwrap().1;
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    let insert = "INSERT INTO event_attempts VALUES ('default', 'wh_dead', 7, 'host-1', \
                  '2026-11-23T20:02:27.000000Z', 1500, 'dead', 'gave_up', 500, 'req_7')";
    database.execute(insert).await.unwrap();
    let shown = run(&filled, &["show", "wh_dead"]).with_code(0);
    assert_contains(
        &shown,
        &["attempts", "2026-11-23 20:02:27", "1,500", "gave_up", "500", "req_7", "host-1"],
    );
    shown.fits_80_columns();
}
