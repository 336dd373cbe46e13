//! `landfall dead` against a real Redis: list, show, redrive and discard.

use std::time::{Duration, Instant};

use queue::{Consumer, ConsumerConfig, DEDUPE_WINDOW, Entry, Producer, QueueAdmin, QueueConfig};
use test_support::redis::RedisServer;
use webhook::{Family, Reason};

use crate::command::{Ended, landfall};

pub(crate) fn config(redis: &RedisServer) -> QueueConfig {
    QueueConfig { url: redis.url().into(), key_prefix: "landfall".to_owned() }
}

pub(crate) fn entry(webhook_id: &str, event_type: &str) -> Entry {
    Entry {
        webhook_id: webhook_id.to_owned(),
        project: "default".to_owned(),
        event_type: event_type.to_owned(),
        timestamp_secs: 1_750_000_000,
        received_ms: 1_750_000_000_000,
        body: format!(r#"{{"type":"{event_type}","data":{{"id":"obj_of_{webhook_id}"}}}}"#).into_bytes(),
        traceparent: None,
        replay_of: None,
    }
}

pub(crate) async fn consumer(redis: &RedisServer, family: Family) -> Consumer {
    let config = ConsumerConfig {
        queue: config(redis),
        family,
        name: "test".to_owned(),
        lease: Duration::from_secs(600),
    };
    Consumer::connect(config).await.unwrap()
}

pub(crate) async fn die(redis: &RedisServer, family: Family, entry: &Entry, reason: Reason) {
    Producer::new(&config(redis), 1000, DEDUPE_WINDOW).unwrap().enqueue(family, entry).await.unwrap();
    let mut consumer = consumer(redis, family).await;
    let first = consumer.receive_now(1).await.unwrap().pop().unwrap();
    first.retry_after(Duration::ZERO, Reason::OpenaiUnavailable, "status 502").await.unwrap();
    let delivery = consumer.receive_now(1).await.unwrap().pop().unwrap();
    let expires = (family == Family::Batch).then_some(4_000_000_000_000);
    delivery.dead_letter(reason, "it was not to be", expires).await.unwrap();
}

/// Dead letters of two batches and a response, each with a different reason.
pub(crate) async fn three_dead() -> RedisServer {
    let redis = RedisServer::start();
    die(&redis, Family::Batch, &entry("wh_1", "batch.completed"), Reason::GaveUp).await;
    die(&redis, Family::Batch, &entry("wh_2", "batch.expired"), Reason::Crashed).await;
    die(&redis, Family::Response, &entry("wh_3", "response.completed"), Reason::Rejected).await;
    redis
}

pub(crate) fn dead(redis: &RedisServer, arguments: &[&str]) -> Ended {
    landfall(&[("REDIS_URL", &redis.url())], &[&["dead"], arguments].concat())
}

pub(crate) async fn counts(redis: &RedisServer) -> (u64, u64) {
    let stats = QueueAdmin::new(&config(redis)).unwrap().stats().await.unwrap();
    (stats.iter().map(|family| family.dead).sum(), stats.iter().map(queue::FamilyStats::backlog).sum())
}

#[tokio::test]
async fn dead_letters_are_listed_newest_first_with_reason_and_cause() {
    let redis = three_dead().await;
    let lines = dead(&redis, &["list", "--json"]).with_code(0).json_lines();
    let ids: Vec<_> = lines.iter().map(|line| line["webhook_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["wh_3", "wh_2", "wh_1"]);
    let causes: Vec<_> = lines.iter().map(|line| line["cause"].as_str().unwrap()).collect();
    assert_eq!(causes, ["bad_data", "ours", "openai"], "gave_up counts as a fault of OpenAI");
    assert_eq!(lines[1]["file_expires_at"], "2096-10-02T07:06:40Z");
    assert_eq!(lines[0]["object_id"], "obj_of_wh_3");

    let ended = dead(&redis, &["list"]).with_code(0);
    ended.fits_80_columns();
    assert!(ended.stdout.contains("batch.expired") && ended.stdout.contains("crashed"), "{ended:#?}");
    let few = dead(&redis, &["list", "--limit", "1"]).with_code(0);
    assert!(few.stdout.contains("response.completed") && few.stderr.contains("--limit"), "{few:#?}");
    let none = dead(&redis, &["list", "--family", "eval"]).with_code(0);
    assert_eq!(none.stdout, "");
}

#[tokio::test]
async fn a_dead_letter_is_shown_by_any_of_its_ids() {
    let redis = three_dead().await;
    let json = dead(&redis, &["show", "wh_1", "--json"]).with_code(0).json();
    assert_eq!((&json["attempts"], &json["reason"]), (&2.into(), &"gave_up".into()));
    assert_eq!(json["first_error"], "openai_unavailable: status 502");
    for id in [json["id"].as_str().unwrap(), json["entry_id"].as_str().unwrap(), "wh_1"] {
        let ended = dead(&redis, &["show", id]).with_code(0);
        ended.fits_80_columns();
        for word in ["batch.completed", "obj_of_wh_1", "status 502", "it was not to be", "2096-10-02"] {
            assert!(ended.stdout.contains(word), "{word}: {ended:#?}");
        }
    }
    let unknown = dead(&redis, &["show", "wh_9"]).with_code(1);
    assert!(unknown.stderr.contains("wh_9") && unknown.stdout.is_empty(), "{unknown:#?}");
}

#[tokio::test]
async fn a_redriven_dead_letter_is_a_new_entry() {
    let redis = three_dead().await;
    let line = dead(&redis, &["redrive", "wh_1", "--json"]).with_code(0).json();
    assert_eq!((&line["action"], &line["webhook_id"]), (&"redrive".into(), &"wh_1".into()));
    assert_eq!(counts(&redis).await, (2, 1));
    let delivery = consumer(&redis, Family::Batch).await.receive_now(1).await.unwrap().pop().unwrap();
    assert_eq!((delivery.attempt, &*delivery.entry_id), (1, line["entry_id"].as_str().unwrap()));
    delivery.ack().await.unwrap();
    dead(&redis, &["redrive", "wh_1"]).with_code(1);
}

#[tokio::test]
async fn filters_select_and_a_rate_limits() {
    let redis = three_dead().await;
    let none = dead(&redis, &["redrive", "--family", "batch", "--reason", "rejected"]).with_code(1);
    assert!(none.stderr.contains("no dead letters found"), "{none:#?}");
    dead(&redis, &["redrive", "--reason", "crashed"]).with_code(0);
    assert_eq!(counts(&redis).await, (2, 1));
    let started = Instant::now();
    let all = dead(&redis, &["redrive", "--all", "--rate", "4"]).with_code(0);
    assert!(started.elapsed() >= Duration::from_millis(250), "two at four a second");
    assert!(all.stderr.contains("2 redriven"), "{all:#?}");
    assert_eq!(counts(&redis).await, (0, 3));
}

#[tokio::test]
async fn discarded_dead_letters_are_gone_and_recorded() {
    let redis = three_dead().await;
    let lines = dead(&redis, &["discard", "--family", "batch", "--yes", "--json"]).with_code(0).json_lines();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["action"], &lines[0]["entry_id"]), (&"discard".into(), &serde_json::Value::Null));
    assert_eq!(counts(&redis).await, (1, 0));
}

#[tokio::test]
async fn nothing_is_selected_by_accident() {
    let redis = three_dead().await;
    for verb in ["redrive", "discard"] {
        dead(&redis, &[verb]).with_code(2);
        dead(&redis, &[verb, "wh_1", "--all"]).with_code(2);
        dead(&redis, &[verb, "--reason", "tired"]).with_code(2);
    }
    assert_eq!(counts(&redis).await, (3, 0));
}

#[tokio::test]
async fn a_pause_shows_in_the_status() {
    let redis = RedisServer::start();
    Producer::new(&config(&redis), 1000, DEDUPE_WINDOW)
        .unwrap()
        .enqueue(Family::Batch, &entry("wh_1", "batch.completed"))
        .await
        .unwrap();
    let delivery = consumer(&redis, Family::Batch).await.receive_now(1).await.unwrap().pop().unwrap();
    delivery.pause(Duration::from_secs(90), Reason::RateLimited).await.unwrap();
    let settings = [("REDIS_URL", &*redis.url()), ("DATABASE_URL", "sqlite://no-such-folder/x.db")];
    let ended = landfall(&settings, &["status"]).with_code(0);
    ended.fits_80_columns();
    assert!(ended.stdout.contains("Paused: batch of project default for 90s (rate_limited)"), "{ended:#?}");
    let json = landfall(&settings, &["status", "--json"]).with_code(0).json();
    assert_eq!(json["pauses"][0]["family"], "batch");
    delivery.ack().await.unwrap();
}
