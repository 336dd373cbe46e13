//! `landfall status` against a real Redis with entries in every state.

use std::time::Duration;

use queue::{Consumer, ConsumerConfig, DEDUPE_WINDOW, Entry, Producer, QueueConfig};
use test_support::redis::{RedisServer, free_port};
use webhook::{Family, Reason};

use crate::command::{Ended, landfall};
use crate::filled::Filled;
use crate::programs::Programs;

fn entry(webhook_id: &str, event_type: &str) -> Entry {
    Entry {
        webhook_id: webhook_id.to_owned(),
        project: "default".to_owned(),
        event_type: event_type.to_owned(),
        timestamp_secs: 1_750_000_000,
        received_ms: 1_750_000_000_000,
        body: b"{}".to_vec(),
        traceparent: None,
        replay_of: None,
    }
}

fn config(redis: &RedisServer) -> QueueConfig {
    QueueConfig { url: redis.url().into(), key_prefix: "landfall".to_owned() }
}

/// Adds five batch events, two undelivered, one pending, one delayed and one dead, and one undelivered response.
async fn fill(redis: &RedisServer) -> Consumer {
    let producer = Producer::new(&config(redis), 1000, DEDUPE_WINDOW).unwrap();
    producer.create_groups().await.unwrap();
    for number in 0..5 {
        let entry = entry(&format!("wh_{number}"), "batch.completed");
        producer.enqueue(Family::Batch, &entry).await.unwrap();
    }
    let other = entry("wh_response", "response.completed");
    producer.enqueue(Family::Response, &other).await.unwrap();
    let mut consumer = Consumer::connect(ConsumerConfig {
        queue: config(redis),
        family: Family::Batch,
        name: "worker-of-the-test".to_owned(),
        lease: Duration::from_secs(600),
    })
    .await
    .unwrap();
    let mut deliveries = consumer.receive_now(3).await.unwrap().into_iter();
    let (first, second, third) =
        (deliveries.next().unwrap(), deliveries.next().unwrap(), deliveries.next().unwrap());
    first.retry_after(Duration::from_secs(600), Reason::RateLimited, "later").await.unwrap();
    second.dead_letter(Reason::Rejected, "never", None).await.unwrap();
    // Not settled, so that it stays pending.
    std::mem::forget(third);
    consumer
}

fn status(redis_url: &str, store: Option<&Filled>, arguments: &[&str]) -> Ended {
    let settings = store.map(Filled::settings);
    let mut environment = vec![("REDIS_URL", redis_url), ("DATABASE_URL", "sqlite://no-such-folder/x.db")];
    if let Some(settings) = &settings {
        environment.extend(settings.iter().map(|(name, value)| (*name, value.as_str())));
    }
    let mut all = vec!["status"];
    all.extend(arguments);
    landfall(&environment, &all)
}

#[tokio::test]
async fn entries_are_counted_by_state() {
    let redis = RedisServer::start();
    let _consumer = fill(&redis).await;
    let json = status(&redis.url(), None, &["--json"]).with_code(0).json();
    let counts = |of: &serde_json::Value| {
        ["undelivered", "pending", "delayed", "dead"].map(|place| of[place].as_u64().unwrap())
    };
    assert_eq!(counts(&json["total"]), [3, 1, 1, 1]);
    assert_eq!(json["total"]["backlog"], 5);
    let families = json["families"].as_array().unwrap();
    assert_eq!(families.len(), Family::ALL.len());
    let batch = families.iter().find(|family| family["family"] == "batch").unwrap();
    assert_eq!(counts(batch), [2, 1, 1, 1]);
    assert!(batch["oldest_ms"].is_u64());
    assert_eq!(json["events"], serde_json::Value::Null);
    // Scripts without jq search for this text, so only the total may contain it.
    let text = status(&redis.url(), None, &["--json"]).stdout;
    assert_eq!(text.matches("\"backlog\":").count(), 1, "{text}");
}

#[tokio::test]
async fn text_output_is_two_tables_of_80_columns() {
    let redis = RedisServer::start();
    let _consumer = fill(&redis).await;
    let filled = Filled::with_everything().await;
    filled.add_dead_event("wh_dead", "no").await;
    let ended = status(&redis.url(), Some(&filled), &[]).with_code(0);
    ended.fits_80_columns();
    let row = |name: &str| {
        let line = ended.stdout.lines().find(|line| line.starts_with(name));
        let words = line.unwrap_or_else(|| panic!("no row {name}:\n{}", ended.stdout)).split_whitespace();
        words.skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("batch ")[..4], ["2", "1", "1", "1"]);
    assert_eq!(row("agent "), ["0", "0", "0", "0", "-", "-"]);
    assert_eq!(ended.stderr, "");
    let events = ended.stdout.split("EVENTS IN THE DATABASE").nth(1).unwrap();
    let response = events.lines().find(|line| line.starts_with("response")).unwrap();
    assert_eq!(response.split_whitespace().collect::<Vec<_>>(), ["response", "0", "1", "0", "1"]);
    assert!(!events.contains("agent"), "families without events are left out: {events}");
}

#[tokio::test]
async fn without_a_database_the_queue_is_shown() {
    let redis = RedisServer::start();
    let ended = status(&redis.url(), None, &[]).with_code(0);
    ended.fits_80_columns();
    assert!(ended.stdout.contains("total"), "{ended:#?}");
    assert!(ended.stderr.contains("there is no database yet"), "{ended:#?}");
}

#[tokio::test]
async fn an_unreachable_redis_is_exit_3_and_its_password_is_not_printed() {
    let url = format!("redis://:hunter2@127.0.0.1:{}", free_port());
    for arguments in [&[][..], &["--json"]] {
        let ended = status(&url, None, arguments).with_code(3);
        assert_eq!(ended.stdout, "");
        assert!(ended.stderr.contains("REDIS_URL") && ended.stderr.contains("efused"), "{ended:#?}");
        assert!(!ended.stderr.contains("hunter2"), "{ended:#?}");
        assert!(
            ended.stderr.contains("  hint: start Redis, or correct the host and port in REDIS_URL"),
            "{ended:#?}"
        );
    }
}

#[test]
fn an_invalid_url_is_a_usage_error() {
    for url in ["127.0.0.1:6379", "redis://:hunter2@:x/y"] {
        let ended = status(url, None, &[]).with_code(2);
        assert!(ended.stderr.contains("REDIS_URL") && !ended.stderr.contains("hunter2"), "{ended:#?}");
    }
}

#[tokio::test]
async fn each_program_has_a_row() {
    let redis = RedisServer::start();
    let text = status(&redis.url(), None, &[]).with_code(0).stdout;
    assert!(text.contains("No program has reported"), "{text}");
    let _programs = Programs::start(&redis.url()).await;
    let ended = status(&redis.url(), None, &[]).with_code(0);
    ended.fits_80_columns();
    for program in ["ingest", "worker"] {
        let row = ended.stdout.lines().find(|line| line.starts_with(program)).unwrap();
        assert!(row.contains("alive") && row.contains(env!("CARGO_PKG_VERSION")), "{row}");
    }
    let json = status(&redis.url(), None, &["--json"]).with_code(0).json();
    let instances = json["instances"].as_array().unwrap();
    assert!(instances.len() == 2 && instances.iter().all(|instance| instance["alive"] == true), "{json}");
    let worker = instances.iter().find(|instance| instance["program"] == "worker").unwrap();
    assert_eq!(worker["targets"], serde_json::json!([]));
}
