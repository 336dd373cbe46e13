//! The lists below a fine-tuning job: the checkpoints of one that succeeded, the events of one that failed. What cannot be
//! read costs nothing else.

use fake_openai::{Fault, FaultKind};
use serde_json::{Value, json};
use store::JobParts;
use webhook::EventState;

use crate::harness::{Database, Landfall};

fn job(status: &str) -> Value {
    json!({"id": "ftjob-parts", "object": "fine_tuning.job", "status": status, "model": "gpt-4.1-mini",
           "fine_tuned_model": null, "result_files": [], "finished_at": 1_795_305_600})
}

fn checkpoint(number: i64) -> Value {
    json!({"id": format!("ftckpt_{number:04}"), "object": "fine_tuning.job.checkpoint", "step_number": number,
           "fine_tuning_job_id": "ftjob-parts", "created_at": 1_795_305_600 + number,
           "fine_tuned_model_checkpoint": format!("ft:m:acme::1:ckpt-step-{number}"),
           "metrics": {"full_valid_loss": 0.5}})
}

async fn parts(landfall: &Landfall, job_id: &str) -> JobParts {
    landfall.store().await.fine_tuning_parts("default", job_id).await.unwrap()
}

async fn checkpoints_of_a_job_that_succeeded_are_stored_page_by_page(database: Database) {
    let landfall = Landfall::start_on(database).await;
    landfall.fake.add_object(&job("succeeded")).unwrap();
    for number in 1..=250 {
        landfall.fake.add_object(&checkpoint(number)).unwrap();
    }
    let before = landfall.fake.requests().len();
    let id = landfall.send("fine_tuning.job.succeeded", "ftjob-parts").await;
    landfall.settled().await;
    assert_eq!(landfall.event(&id).await.unwrap().attempts, 1);
    let requests = landfall.fake.requests();
    let pages = requests[before..].iter().filter(|request| request.path.contains("/checkpoints"));
    assert_eq!(pages.count(), 3);
    let shown = landfall.show("ftjob-parts");
    let checkpoints = shown["checkpoints"].as_array().unwrap();
    assert_eq!((checkpoints.len(), &shown["checkpoints_state"]), (250, &json!("fetched")));
    assert_eq!(checkpoints[249]["fine_tuned_model_checkpoint"], "ft:m:acme::1:ckpt-step-250");
    assert_eq!(checkpoints[0]["metrics"], json!({"full_valid_loss": 0.5}));
    assert_eq!((&shown["events"], &shown["events_state"]), (&json!([]), &Value::Null));
    let text = String::from_utf8(landfall.landfall(&["show", "ftjob-parts"]).stdout).unwrap();
    assert!(text.contains("ckpt-step-250") && text.contains("CHECKPOINT"), "{text}");

    // A second delivery changes nothing, and all of it moves to another database.
    landfall.send("fine_tuning.job.succeeded", "ftjob-parts").await;
    landfall.settled().await;
    assert_eq!(landfall.show("ftjob-parts"), shown);
    moves(&landfall, "ftjob-parts").await;
}

/// Exports everything, imports it into an empty database, and compares the object.
async fn moves(landfall: &Landfall, id: &str) {
    let export = landfall.folder().join("export.jsonl");
    let other = format!("sqlite://{}/other.db", landfall.folder().display());
    let export = export.display().to_string();
    let output = landfall.landfall(&["db", "export", "--output", &export]);
    assert!(output.status.success(), "{output:?}");
    let elsewhere = [("DATABASE_URL", other.as_str())];
    let output = landfall.landfall_with(&elsewhere, &["db", "import", &export]);
    assert!(output.status.success(), "{output:?}");
    let moved = landfall.landfall_with(&elsewhere, &["show", id, "--json"]).stdout;
    assert_eq!(serde_json::from_slice::<Value>(&moved).unwrap(), landfall.show(id));
}

async fn the_events_of_a_job_that_failed_say_why(database: Database) {
    let landfall = Landfall::start_on(database).await;
    landfall.fake.add_object(&job("failed")).unwrap();
    // With another order of fields, values of other types, and an event without an id.
    let events = json!({"object": "list", "has_more": false, "data": [
        {"id": "ftevent-2", "level": "error", "message": "The file is\u{0} invalid.", "type": "message",
         "data": {}, "created_at": 1_795_305_601},
        {"message": "It has no id."},
        {"id": "ftevent-1", "level": 7, "created_at": "yesterday", "data": {"n": 1}, "type": "of_2027"}]});
    landfall.fake.inject(Fault::always(FaultKind::Body(events.to_string()), "/events"));
    landfall.send("fine_tuning.job.failed", "ftjob-parts").await;
    landfall.settled().await;
    let shown = landfall.show("ftjob-parts");
    assert_eq!((&shown["events_state"], &shown["checkpoints_state"]), (&json!("fetched"), &Value::Null));
    let first = &shown["events"].as_array().unwrap().iter().find(|event| event["event_id"] == "ftevent-2");
    assert_eq!(first.unwrap()["message"], "The file is\u{fffd} invalid.");
    let odd = &shown["events"].as_array().unwrap().iter().find(|event| event["event_id"] == "ftevent-1");
    assert_eq!((&odd.unwrap()["level"], &odd.unwrap()["data"]), (&Value::Null, &json!({"n": 1})));
    assert_eq!(shown["events"].as_array().map(Vec::len), Some(2));
    moves(&landfall, "ftjob-parts").await;

    landfall.fake.clear_faults();
    landfall.send("fine_tuning.job.failed", "ftjob_demo_failed").await;
    landfall.settled().await;
    let parts = parts(&landfall, "ftjob_demo_failed").await;
    assert_eq!((parts.events.len(), parts.events[0].level.as_deref()), (3, Some("error")));
    let text = String::from_utf8(landfall.landfall(&["show", "ftjob_demo_failed"]).stdout).unwrap();
    assert!(text.contains("LEVEL") && text.contains("Validating training file"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_without_an_end_is_read_up_to_a_limit() {
    let mut landfall = Landfall::start().await;
    landfall.fake.add_object(&job("failed")).unwrap();
    let event =
        |n: usize| json!({"id": format!("ftevent-{n}"), "message": "again", "created_at": 1_795_305_600});
    let endless =
        json!({"object": "list", "has_more": true, "data": (0..100).map(event).collect::<Vec<_>>()});
    landfall.fake.inject(Fault::always(FaultKind::Body(endless.to_string()), "/events"));
    landfall.send("fine_tuning.job.failed", "ftjob-parts").await;
    landfall.settled().await;
    let parts = parts(&landfall, "ftjob-parts").await;
    assert_eq!((parts.events_state, parts.events.len()), (Some(store::PartState::Truncated.into()), 100));
    let requests = landfall.fake.requests();
    let pages = requests.iter().filter(|request| request.path.contains("/events")).count();
    assert_eq!(pages, 10);
    landfall.workers[0].wait_for_log("there are more events of the job than are read");
}

async fn a_list_that_cannot_be_read_costs_no_event(database: Database) {
    let landfall = Landfall::start_on(database).await;
    landfall.fake.add_object(&job("succeeded")).unwrap();
    landfall.fake.add_object(&checkpoint(1)).unwrap();
    let scopes = FaultKind::MissingScopes("api.fine_tuning.jobs.read".to_owned());
    let cases = [
        (scopes.clone(), "forbidden"),
        (FaultKind::Status(403), "forbidden"),
        (FaultKind::Status(404), "not_found"),
        (FaultKind::HugeJson { bytes: 2 << 20 }, "too_large"),
        (FaultKind::Status(400), "failed"),
        (scopes, "forbidden"),
    ];
    for (fault, state) in cases {
        landfall.fake.clear_faults();
        landfall.fake.inject(Fault::always(fault, "/checkpoints"));
        let id = landfall.send("fine_tuning.job.succeeded", "ftjob-parts").await;
        landfall.settled().await;
        let event = landfall.event(&id).await.unwrap();
        assert_eq!((event.state, event.attempts), (EventState::Stored, 1), "{state}");
        let shown = landfall.show("ftjob-parts");
        assert_eq!((&shown["checkpoints_state"], &shown["fetch_state"]), (&json!(state), &json!("fetched")));
    }
    landfall.metric("landfall_openai_key_suspect{} 0.0").await;
    assert_eq!(landfall.status()["total"]["dead"], 0);
    let doctor = landfall.landfall(&["doctor", "--json"]).stdout;
    let doctor = String::from_utf8(doctor).unwrap();
    assert!(doctor.contains("read fine-tuning jobs") && doctor.contains("ftjob-parts"), "{doctor}");

    // The right is granted.
    landfall.fake.clear_faults();
    let output = landfall.landfall(&["fetch", "ftjob-parts"]);
    assert!(output.status.success(), "{output:?}");
    let parts = parts(&landfall, "ftjob-parts").await;
    assert_eq!(
        (parts.checkpoints_state, parts.checkpoints.len()),
        (Some(store::PartState::Fetched.into()), 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_fails_again_and_again_is_left_out_in_the_end() {
    let landfall = Landfall::start().await;
    landfall.fake.add_object(&job("succeeded")).unwrap();
    landfall.fake.inject(Fault::always(FaultKind::Status(500), "/checkpoints"));
    let id = landfall.send("fine_tuning.job.succeeded", "ftjob-parts").await;
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.attempts), (EventState::Stored, 8));
    assert_eq!(landfall.show("ftjob-parts")["checkpoints_state"], "failed");
}

on_both_databases!(
    checkpoints_of_a_job_that_succeeded_are_stored_page_by_page,
    the_events_of_a_job_that_failed_say_why,
    a_list_that_cannot_be_read_costs_no_event
);
