//! The console's acts: only operators redrive, discard, replay and fetch.

use std::collections::BTreeSet;

use fake_openai::{Fault, FaultKind};
use reqwest::StatusCode;
use serde_json::{Value, json};
use test_support::wait;
use webhook::EventState;

use crate::console_client::{Console, token};
use crate::harness::{Database, Landfall};

const RESPONSE: &str = "resp_demo_research";
const BATCH: &str = "batch_demo_completed";

/// As many dead letters as there are ids.
async fn with_dead_letters(ids: &[&str]) -> Landfall {
    let landfall = Landfall::start().await;
    landfall.fake.inject(Fault::always(FaultKind::Status(400), ""));
    for id in ids {
        landfall.send("response.completed", id).await;
    }
    landfall.settled().await;
    landfall
}

fn dead(landfall: &Landfall) -> Value {
    landfall.status()["total"]["dead"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_changes_only_what_its_preview_counted() {
    let landfall = with_dead_letters(&["resp_1", RESPONSE]).await;
    let console = Console::start(&landfall, &[]).await;
    let operator = token(&landfall, &["ops", "--operator"]);
    let (status, none) = console.json("/dead-letters/preview?family=batch").await;
    assert_eq!((status, &none["count"]), (StatusCode::OK, &0.into()), "{none}");
    let (_, preview) = console.json("/dead-letters/preview?family=response&reason=rejected").await;
    assert_eq!(preview["count"], 2, "{preview}");
    // Two deliveries are processed at once: the second may die first.
    let ids: BTreeSet<&str> =
        preview["sample"].as_array().unwrap().iter().map(|row| row["object_id"].as_str().unwrap()).collect();
    assert_eq!(ids, BTreeSet::from(["resp_1", RESPONSE]));
    // It dies after the preview.
    landfall.send("response.completed", "resp_later").await;
    landfall.settled().await;
    landfall.fake.clear_faults();
    let chosen = json!({"preview": preview["preview"]});
    let (status, acted) = console.post("/dead-letters/redrive", &operator, &chosen).await;
    assert_eq!((status, acted), (StatusCode::OK, json!({"done": 2, "gone": 0, "next": null})));
    landfall.settled().await;
    assert_eq!(dead(&landfall), 1);
    assert_eq!(landfall.show(RESPONSE)["fetch_state"], "fetched");
    let (_, again) = console.post("/dead-letters/redrive", &operator, &chosen).await;
    assert_eq!(again["done"], 0, "a call whose answer was lost may be repeated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_discarded_by_its_name() {
    let landfall = with_dead_letters(&["resp_1", "resp_2"]).await;
    let console = Console::start(&landfall, &[]).await;
    let operator = token(&landfall, &["ops", "--operator"]);
    let (_, letters) = console.json("/dead-letters").await;
    let letter = &letters["data"][0];
    let chosen = json!({"letters": [
        {"family": letter["family"], "id": letter["id"]},
        {"family": "batch", "id": letter["id"]},
    ]});
    let (status, acted) = console.post("/dead-letters/discard", &operator, &chosen).await;
    assert_eq!((status, acted), (StatusCode::OK, json!({"done": 1, "gone": 1, "next": null})));
    assert_eq!(dead(&landfall), 1);
    for wrong in [
        json!({}),
        json!({"letters": []}),
        json!({"letters": [{"family": "response", "id": "x"}]}),
        json!({"letters": [{"family": "mail", "id": "1-1"}]}),
        json!({"preview": "x"}),
        json!({"letters": [{"family": "response", "id": "1-1"}], "preview": "x"}),
        json!({"all": true}),
    ] {
        let (status, problem) = console.post("/dead-letters/discard", &operator, &wrong).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}: {problem}");
    }
    assert_eq!(dead(&landfall), 1);
}

async fn a_replay_that_is_repeated_enqueues_nothing_twice(database: Database) {
    let mut landfall = Landfall::start_on(database).await;
    let console = Console::start(&landfall, &[]).await;
    let operator = token(&landfall, &["ops", "--operator"]);
    let mut sent = Vec::new();
    for number in 0..3 {
        sent.push(landfall.send("safety.warning_issued", &format!("case_{number}")).await);
    }
    landfall.settled().await;
    let worker = landfall.workers.pop().unwrap();
    drop(worker);
    let (status, preview) = console.json("/events/preview?family=safety&state=stored").await;
    assert_eq!((status, &preview["count"]), (StatusCode::OK, &3.into()), "{preview}");
    assert_eq!(preview["sample"][0]["webhook_id"], sent[0], "{preview}");
    let chosen = json!({"preview": preview["preview"]});
    for _ in 0..2 {
        let (status, acted) = console.post("/events/replay", &operator, &chosen).await;
        assert_eq!((status, acted), (StatusCode::OK, json!({"done": 3, "gone": 0, "next": null})));
        assert_eq!(landfall.backlog(), 3);
    }
    let named = json!({"ids": [sent[0], "wh_unknown"]});
    let (status, acted) = console.post("/events/replay", &operator, &named).await;
    assert_eq!((status, acted), (StatusCode::OK, json!({"done": 1, "gone": 1, "next": null})));
    assert_eq!(landfall.backlog(), 4, "another act is another replay");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_repeated_enqueues_nothing_twice_in_sqlite() {
    a_replay_that_is_repeated_enqueues_nothing_twice(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_repeated_enqueues_nothing_twice_in_postgres() {
    a_replay_that_is_repeated_enqueues_nothing_twice(Database::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_without_an_event_is_fetched() {
    let landfall = Landfall::start().await;
    let console = Console::start(&landfall, &[]).await;
    // The database is created by the worker's first event.
    landfall.send("safety.warning_issued", "case_1").await;
    landfall.settled().await;
    let operator = token(&landfall, &["ops", "--operator"]);
    let waited = console.waiting(&format!("/objects/{BATCH}?wait=60"));
    let (status, enqueued) = console.post(&format!("/objects/{BATCH}/fetch"), &operator, &json!(null)).await;
    assert_eq!((status, &enqueued["id"]), (StatusCode::ACCEPTED, &BATCH.into()), "{enqueued}");
    let (status, batch) = waited.await.unwrap();
    assert_eq!((status, &batch["state"]), (StatusCode::OK, &"stored".into()));
    let webhook_id = enqueued["webhook_ids"][0].as_str().unwrap();
    let stored = async || {
        let event = landfall.event(webhook_id).await?;
        (event.state == EventState::Stored).then_some(())
    };
    wait::until("a stored event", stored).await;
    for id in ["wh_1", "case_1"] {
        let (status, problem) = console.post(&format!("/objects/{id}/fetch"), &operator, &json!(null)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{id}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_operators_change_anything() {
    let landfall = with_dead_letters(&["resp_1"]).await;
    let console = Console::start(&landfall, &[]).await;
    let (viewer, operator) = (token(&landfall, &["app"]), token(&landfall, &["ops", "--operator"]));
    let read_only = Console::start(&landfall, &[("CONSOLE_READ_ONLY", "true")]).await;
    let (_, preview) = console.json("/dead-letters/preview").await;
    let chosen = json!({"preview": preview["preview"]});
    let (_, document) = console.json("/openapi.json").await;
    let paths = document["paths"].as_object().unwrap();
    let acts: Vec<String> = paths
        .iter()
        .filter(|(_, methods)| methods.as_object().unwrap().keys().any(|method| method != "get"))
        .map(|(path, _)| path.replace("{id}", RESPONSE))
        .collect();
    assert!(acts.len() >= 4, "{acts:?}");
    for path in &acts {
        let anybody = console.http.post(format!("{}{path}", console.url)).json(&chosen).send().await.unwrap();
        assert_eq!(anybody.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(console.post(path, &viewer, &chosen).await.0, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(console.post(path, "landfall_x", &chosen).await.0, StatusCode::UNAUTHORIZED, "{path}");
        let (status, problem) = read_only.post(path, &operator, &chosen).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("CONSOLE_READ_ONLY"), "{problem}");
    }
    assert_eq!((dead(&landfall), landfall.backlog()), (1.into(), 0));
    let (status, _) = console.post("/dead-letters/discard", &operator, &chosen).await;
    assert_eq!((status, dead(&landfall)), (StatusCode::OK, 0.into()));
}
