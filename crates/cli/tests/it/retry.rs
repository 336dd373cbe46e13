//! `landfall retry`, and `replay` and `fetch` of events that are waiting for a retry.

use std::time::{Duration, Instant};

use queue::{DEDUPE_WINDOW, Delivery, Entry, Producer, QueueAdmin};
use store::Failure;
use test_support::redis::RedisServer;
use webhook::{EventState, Family, Reason};

use crate::command::{Ended, landfall};
use crate::dead::{config, consumer, entry};
use crate::filled::{Filled, RESPONSE_ID};
use crate::terminal::at_terminal;

const LONG: Duration = Duration::from_secs(1800);

/// An entry that a worker has delayed, after a failed attempt or before one.
async fn waiting(redis: &RedisServer, family: Family, entry: &Entry, reason: Option<Reason>) {
    Producer::new(&config(redis), 1000, DEDUPE_WINDOW).unwrap().enqueue(family, entry).await.unwrap();
    let delivery = consumer(redis, family).await.receive_now(1).await.unwrap().pop().unwrap();
    match reason {
        Some(reason) => delivery.retry_after(LONG, reason, "the answer was no").await.unwrap(),
        None => delivery.snooze(LONG).await.unwrap(),
    };
}

/// Two batches and a response that wait because of the API key, and two responses that wait for another reason.
async fn five_waiting() -> RedisServer {
    let redis = RedisServer::start();
    let (batch, response) = ("batch.completed", "response.completed");
    waiting(&redis, Family::Batch, &entry("wh_1", batch), Some(Reason::Unauthorized)).await;
    waiting(&redis, Family::Batch, &entry("wh_2", batch), Some(Reason::Unauthorized)).await;
    waiting(&redis, Family::Response, &entry("wh_3", response), Some(Reason::Forbidden)).await;
    waiting(&redis, Family::Response, &entry("wh_4", response), Some(Reason::OpenaiUnavailable)).await;
    waiting(&redis, Family::Response, &entry("wh_5", response), None).await;
    redis
}

fn retry(redis: &RedisServer, arguments: &[&str]) -> Ended {
    landfall(&[("REDIS_URL", &redis.url())], &[&["retry"], arguments].concat())
}

/// The deliveries that are due now, by webhook-id and attempt.
async fn due(redis: &RedisServer, family: Family) -> Vec<(String, u32)> {
    let deliveries = consumer(redis, family).await.receive_now(10).await.unwrap();
    let mut due: Vec<(String, u32)> = deliveries.iter().map(seen).collect();
    due.sort();
    due
}

fn seen(delivery: &Delivery) -> (String, u32) {
    (delivery.content.as_ref().unwrap().webhook_id.clone(), delivery.attempt)
}

async fn delayed(redis: &RedisServer, family: Family) -> usize {
    QueueAdmin::new(&config(redis)).unwrap().delayed(family).await.unwrap().len()
}

#[tokio::test]
async fn events_whose_key_was_refused_are_tried_at_once_and_no_others() {
    let redis = five_waiting().await;
    let counts = |ended: &Ended| {
        let lines = ended.json_lines();
        let count = |line: &serde_json::Value| {
            (line["family"].to_string() + &line["reason"].to_string(), line["entries"].as_u64().unwrap())
        };
        lines.iter().map(count).collect::<Vec<_>>()
    };
    let refused = [("\"response\"\"forbidden\"".to_owned(), 1), ("\"batch\"\"unauthorized\"".to_owned(), 2)];
    assert_eq!(counts(&retry(&redis, &["--dry-run", "--json"]).with_code(0)), refused);
    assert_eq!(counts(&retry(&redis, &["--dry-run", "--all", "--json"]).with_code(0)).len(), 4);
    assert_eq!((delayed(&redis, Family::Batch).await, delayed(&redis, Family::Response).await), (2, 3));

    let ended = retry(&redis, &["--family", "response"]).with_code(0);
    ended.fits_80_columns();
    assert!(ended.stdout.contains("forbidden") && ended.stderr.contains("1 event due now"), "{ended:#?}");
    assert!(ended.stderr.contains("2 events are waiting for another reason; use --all"), "{ended:#?}");
    assert_eq!(due(&redis, Family::Response).await, [("wh_3".to_owned(), 2)], "attempts stay");
    assert_eq!(due(&redis, Family::Batch).await, []);
    assert_eq!(counts(&retry(&redis, &["--json"]).with_code(0)), refused[1..]);
    assert_eq!(due(&redis, Family::Batch).await, [("wh_1".to_owned(), 2), ("wh_2".to_owned(), 2)]);
    let none = retry(&redis, &[]).with_code(0);
    assert!(none.stdout.is_empty() && none.stderr.contains("no events are waiting"), "{none:#?}");

    retry(&redis, &["--all"]).with_code(0);
    assert_eq!(due(&redis, Family::Response).await, [("wh_4".to_owned(), 2), ("wh_5".to_owned(), 1)]);
    assert_eq!(delayed(&redis, Family::Response).await, 0);
}

#[tokio::test]
async fn a_paused_family_stays_paused() {
    let redis = five_waiting().await;
    let other = entry("wh_6", "batch.completed");
    Producer::new(&config(&redis), 1000, DEDUPE_WINDOW)
        .unwrap()
        .enqueue(Family::Batch, &other)
        .await
        .unwrap();
    let running = consumer(&redis, Family::Batch).await.receive_now(1).await.unwrap().pop().unwrap();
    running.pause(Duration::from_secs(90), Reason::RateLimited).await.unwrap();
    let ended = retry(&redis, &[]).with_code(0);
    assert!(ended.stderr.contains("family batch is paused for"), "{ended:#?}");
    let pauses = QueueAdmin::new(&config(&redis)).unwrap().pauses().await.unwrap();
    assert!(pauses.len() == 1 && pauses[0].left > Duration::from_secs(30), "{pauses:?}");
}

#[tokio::test]
async fn a_rate_limits_and_a_terminal_shows_progress() {
    let redis = five_waiting().await;
    let started = Instant::now();
    let url = redis.url();
    let shown = at_terminal(&[("REDIS_URL", &url)], &["retry", "--rate", "2"], "");
    shown.with(0, &["/3", "3 events due now"]);
    assert!(started.elapsed() >= Duration::from_secs(1), "two a second: the third comes in the next");
    assert_eq!(delayed(&redis, Family::Batch).await, 0);
}

/// An event that failed once, in the queue and in the database.
async fn failed_once(redis: &RedisServer, filled: &Filled) {
    let mut first = entry("wh_waits", "response.completed");
    first.body = format!(r#"{{"type":"response.completed","data":{{"id":"{RESPONSE_ID}"}}}}"#).into_bytes();
    waiting(redis, Family::Response, &first, Some(Reason::Unauthorized)).await;
    filled.add_event("wh_waits", "response.completed", Some(RESPONSE_ID), 0).await;
    let failure = Failure {
        project: "default".to_owned(),
        webhook_id: "wh_waits".to_owned(),
        attempts: 1,
        state: EventState::Retrying,
        reason: Reason::Unauthorized,
        error: "status 401".to_owned(),
        attempt: None,
        notifications: Vec::new(),
    };
    filled.store.fail_event(&failure).await.unwrap();
}

fn repair(redis: &RedisServer, filled: &Filled, arguments: &[&str]) -> Ended {
    let (url, settings) = (redis.url(), filled.settings());
    let mut all = vec![("REDIS_URL", url.as_str())];
    all.extend(settings.iter().map(|(name, value)| (*name, value.as_str())));
    landfall(&all, arguments)
}

#[tokio::test]
async fn a_replay_of_an_event_that_waits_makes_its_entry_due_instead_of_adding_a_second() {
    let (redis, filled) = (RedisServer::start(), Filled::with_everything().await);
    failed_once(&redis, &filled).await;
    let ended = repair(&redis, &filled, &["replay", "--state", "retrying"]).with_code(0);
    assert!(ended.stdout.contains("1 had been waiting for a retry, now due"), "{ended:#?}");
    assert_eq!(due(&redis, Family::Response).await, [("wh_waits".to_owned(), 2)]);
    assert_eq!(delayed(&redis, Family::Response).await, 0);
    // A pending entry does not wait, so another replay adds an entry.
    let line = repair(&redis, &filled, &["replay", "wh_waits", "--json"]).with_code(0).json();
    assert_eq!((&line["enqueued"], &line["made_due"]), (&true.into(), &false.into()));
}

#[tokio::test]
async fn a_fetch_of_an_object_whose_event_waits_makes_its_entry_due() {
    let (redis, filled) = (RedisServer::start(), Filled::with_everything().await);
    failed_once(&redis, &filled).await;
    repair(&redis, &filled, &["fetch", RESPONSE_ID, "--no-wait"]).with_code(0);
    assert_eq!(due(&redis, Family::Response).await, [("wh_waits".to_owned(), 2)]);
    assert_eq!(delayed(&redis, Family::Response).await, 0);
}

#[tokio::test]
async fn a_replay_of_a_stored_event_leaves_no_entry_that_waits_for_nothing() {
    let (redis, filled) = (RedisServer::start(), Filled::with_everything().await);
    failed_once(&redis, &filled).await;
    let done = filled.add_event("wh_waits", "response.completed", Some(RESPONSE_ID), 0).await;
    filled.store.complete_event(&done).await.unwrap();
    let line = repair(&redis, &filled, &["replay", "wh_waits", "--json"]).with_code(0).json();
    assert_eq!((&line["enqueued"], &line["made_due"]), (&true.into(), &false.into()));
    // The stale entry is due as well; a worker acknowledges it because its event is stored.
    let both = [("wh_waits".to_owned(), 1), ("wh_waits".to_owned(), 2)];
    assert_eq!(due(&redis, Family::Response).await, both);
    assert_eq!(delayed(&redis, Family::Response).await, 0);
}
