//! Inspection and repair while workers run: stored events are replayed, missing objects are fetched, and events can be
//! watched.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use fake_openai::{Fault, FaultKind};
use serde_json::Value;
use test_support::{programs, wait};
use webhook::EventState;

use crate::harness::{API_KEY, Database, Landfall};

fn lines(output: &Output) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(parse).collect()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{output:?}"))
}

async fn a_replay_runs_a_stored_event_again_and_changes_nothing(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let sent = [
        landfall.send("response.completed", "resp_demo_research").await,
        landfall.send("batch.completed", "batch_demo_completed").await,
    ];
    landfall.settled().await;
    let objects = || ["resp_demo_research", "batch_demo_completed"].map(|id| landfall.show(id));
    let (before, event) = (objects(), landfall.event(&sent[0]).await.unwrap());
    landfall.fake.clear_requests();

    let output = landfall.landfall(&["replay", &sent[0], &sent[1]]);
    assert_eq!(code(&output), 0, "{output:?}");
    wait::until("both objects to be fetched again", async || {
        let requested = landfall.fake.requests();
        let for_each = |path: &str| requested.iter().any(|request| request.path.contains(path));
        (for_each("/responses/resp_demo_research") && for_each("/batches/batch_demo_completed")).then_some(())
    })
    .await;
    landfall.settled().await;
    assert_eq!(objects(), before);
    let again = landfall.event(&sent[0]).await.unwrap();
    assert_eq!((again.state, again.processed_at), (EventState::Stored, event.processed_at));
}

async fn a_given_up_event_is_stored_by_a_replay_once_the_cause_is_fixed(database: Database) {
    let landfall = Landfall::start_on(database).await;
    landfall.fake.inject(Fault::always(FaultKind::Status(400), "/responses/"));
    let sent = landfall.send("response.completed", "resp_demo_research").await;
    landfall.event_when(&sent, |event| event.state == EventState::Dead).await;
    landfall.settled().await;
    landfall.fake.clear_faults();

    let output = landfall.landfall(&["replay", "--state", "dead", "--json"]);
    assert_eq!((code(&output), &lines(&output)[0]["webhook_id"]), (0, &sent.as_str().into()), "{output:?}");
    let event = landfall.event_when(&sent, |event| event.state == EventState::Stored).await;
    assert_eq!((event.reason, event.last_error), (None, None));
    assert_eq!(landfall.show("resp_demo_research")["fetch_state"], "fetched");
}

async fn missing_objects_are_fetched_once_openai_has_them(database: Database) {
    let landfall = Landfall::start_on(database).await;
    for path in ["/responses/resp_demo_research", "/batches/batch_demo_completed"] {
        landfall.fake.inject(Fault::always(FaultKind::Status(404), path));
    }
    let sent = landfall.send("response.completed", "resp_demo_research").await;
    landfall.send("batch.completed", "batch_demo_completed").await;
    landfall.send("response.completed", "resp_abc123").await;
    landfall.settled().await;
    for id in ["resp_demo_research", "batch_demo_completed", "resp_abc123"] {
        assert_eq!(landfall.show(id)["fetch_state"], "not_found", "{id}");
    }
    let sample = landfall.show("resp_abc123");
    landfall.fake.clear_faults();

    let output = landfall.landfall(&["fetch", "--missing", "--json"]);
    assert_eq!(code(&output), 1, "the sample id is still missing: {output:?}");
    let lines = lines(&output);
    let state_of =
        |id: &str| lines.iter().find(|line| line["object_id"] == id).unwrap()["fetch_state"].clone();
    assert_eq!((lines.len(), state_of("resp_abc123")), (3, "not_found".into()));
    assert_eq!(
        (state_of("resp_demo_research"), state_of("batch_demo_completed")),
        ("fetched".into(), "fetched".into())
    );
    assert_eq!(landfall.show("resp_abc123"), sample, "a failed fetch changed the record");
    let batch = landfall.show("batch_demo_completed");
    assert_eq!((&batch["results_complete"], &batch["fetch_state"]), (&true.into(), &"fetched".into()));
    assert_eq!(landfall.event(&sent).await.unwrap().reason, None, "the event still has the reason not_found");
}

async fn an_object_without_an_event_is_fetched_by_its_id(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let ids = ["resp_demo_research", "batch_demo_expired", "ftjob_demo_succeeded", "evalrun_demo_succeeded"];
    let output = landfall.landfall(&[&["fetch"], &ids[..]].concat());
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(
        printed.contains("fetched    resp_demo_research") && printed.ends_with("4 of 4 objects fetched\n"),
        "{printed}"
    );
    for id in ids {
        assert_eq!(landfall.show(id)["fetch_state"], "fetched", "{id}");
    }
    let output = landfall.landfall(&["fetch", "resp_demo_research", "resp_nowhere", "--json"]);
    let states: Vec<_> = lines(&output).iter().map(|line| line["fetch_state"].clone()).collect();
    assert_eq!((code(&output), states), (1, vec!["fetched".into(), "not_found".into()]), "{output:?}");
}

async fn events_can_be_watched(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let files = landfall.file("object", "file").ancestors().nth(3).unwrap().to_owned();
    let mut tail = Command::new(programs::path("landfall"))
        .args(["tail", "--json"])
        .env_clear()
        .env("DATABASE_URL", landfall.database_url())
        .env("FILES_URL", &files)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdout, seen) = (tail.stdout.take().unwrap(), Arc::new(Mutex::new(Vec::<Value>::new())));
    let lines = Arc::clone(&seen);
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            lines.lock().unwrap().push(serde_json::from_str(&line.unwrap()).unwrap());
        }
    });
    landfall.fake.inject(Fault::times(FaultKind::Status(404), "/responses/", 5));
    let sent = landfall.send("response.completed", "resp_demo_research").await;
    let states = || {
        let seen = seen.lock().unwrap();
        let mine = seen.iter().filter(|line| line["webhook_id"] == sent.as_str());
        mine.map(|line| line["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    wait::until("the last state", async || {
        states().last().is_some_and(|state| state == "stored").then_some(())
    })
    .await;
    assert_eq!(states().iter().filter(|state| *state == "stored").count(), 1, "{:?}", states());
    let pid = tail.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(tail.wait().unwrap().code(), Some(0));
    reader.join().unwrap();
}

async fn a_running_installation_is_healthy_and_a_wrong_key_is_reported(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let base_url = landfall.fake.base_url();
    let doctor = |key: &str| {
        let settings = ["--openai-api-key", key, "--openai-base-url", &base_url];
        landfall.landfall(&[&["doctor", "--json"], &settings[..]].concat())
    };
    let output = doctor(API_KEY);
    assert_eq!(code(&output), 0, "{output:?}");
    let output = doctor("sk-wrong");
    let wrong: Vec<Value> = lines(&output).into_iter().filter(|line| line["state"] == "wrong").collect();
    assert_eq!((code(&output), wrong.len(), &wrong[0]["check"]), (1, 1, &"api".into()), "{output:?}");
}

on_both_databases!(
    a_replay_runs_a_stored_event_again_and_changes_nothing,
    a_given_up_event_is_stored_by_a_replay_once_the_cause_is_fixed,
    missing_objects_are_fetched_once_openai_has_them,
    an_object_without_an_event_is_fetched_by_its_id,
    events_can_be_watched,
    a_running_installation_is_healthy_and_a_wrong_key_is_reported
);
