//! `landfall wait`: what ends it, its output, and its exit codes.

use queue::{Enqueued, Entry, Producer, QueueConfig};
use serde_json::json;
use store::{Completion, Failure};
use test_support::redis::{RedisServer, free_port};
use webhook::{EventState, Family, Reason};

use crate::command::{Ended, landfall};
use crate::filled::{Filled, RESPONSE_ID};
use crate::running::Running;
use crate::terminal::at_terminal;

/// Runs the command against a Redis without entries.
fn run(filled: &Filled, redis: &RedisServer, arguments: &[&str]) -> Ended {
    let (settings, url) = (filled.settings(), redis.url());
    let mut all = vec![("REDIS_URL", url.as_str())];
    all.extend(settings.iter().map(|(name, value)| (*name, value.as_str())));
    landfall(&all, arguments)
}

async fn give_up(filled: &Filled, done: &Completion) {
    let failure = Failure {
        project: done.project.clone(),
        webhook_id: done.webhook_id.clone(),
        attempts: 1,
        state: EventState::Dead,
        reason: Reason::Rejected,
        notifications: Vec::new(),
        attempt: None,
        error: "400: no\nsuch thing".to_owned(),
    };
    filled.store.fail_event(&failure).await.unwrap();
}

async fn what_has_ended_is_answered_at_once(filled: Filled) {
    let redis = RedisServer::start();
    let ended = run(&filled, &redis, &["wait", RESPONSE_ID, "batch_1", "ftjob-1", "batch_1"]).with_code(0);
    assert_eq!(ended.stdout, format!("stored     {RESPONSE_ID}\nstored     batch_1\nstored     ftjob-1\n"));

    // One is lost: each line is whole, and says why.
    let done = filled.add_event("wh_dead", "response.completed", Some("resp_dead"), 5).await;
    give_up(&filled, &done).await;
    let ended = run(&filled, &redis, &["wait", "evalrun_1", "batch_1", "resp_dead"]).with_code(1);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    let dead = "dead       resp_dead  rejected: 400: no such thing";
    assert_eq!(lines, ["not_found  evalrun_1", "stored     batch_1", dead]);

    let ended = run(&filled, &redis, &["wait", "--json", "batch_1", "resp_dead"]).with_code(1);
    let lines = ended.json_lines();
    let shown = run(&filled, &redis, &["show", "batch_1", "--json"]).json();
    assert_eq!(
        lines[0],
        json!({"id": "batch_1", "kind": "batch", "state": "stored", "reason": null, "last_error": null, "object": shown})
    );
    assert_eq!(
        lines[1],
        json!({"id": "resp_dead", "kind": "response", "state": "dead", "reason": "rejected",
            "last_error": "400: no\nsuch thing", "object": null})
    );
}

async fn an_object_that_is_not_there_in_time_is_waiting(filled: Filled) {
    let redis = RedisServer::start();
    filled.add_event("wh_open", "response.completed", Some("resp_open"), 5).await;
    let arguments = ["wait", "--timeout", "1s", "resp_nowhere", "batch_1", "resp_open"];
    let ended = run(&filled, &redis, &arguments).with_code(1);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines, ["stored     batch_1", "waiting    resp_nowhere", "waiting    resp_open"]);
    assert!(ended.stderr.contains("still waiting for 2 objects after 1s"), "{ended:#?}");
    let ended = run(&filled, &redis, &["wait", "--timeout", "1s", "--json", "resp_nowhere"]).with_code(1);
    assert_eq!((&ended.json()["state"], &ended.json()["object"]), (&json!("waiting"), &json!(null)));
}

async fn a_lost_object_is_waited_for_once_a_new_entry_is_queued(filled: Filled) {
    let redis = RedisServer::start();
    let queue = QueueConfig { url: redis.url().into(), key_prefix: "landfall".to_owned() };
    let producer = Producer::new(&queue, 1000, queue::DEDUPE_WINDOW).unwrap();
    let entry = Entry {
        webhook_id: "wh_new".to_owned(),
        project: "default".to_owned(),
        event_type: "eval.run.succeeded".to_owned(),
        timestamp_secs: 1_795_465_867,
        received_ms: 1_795_465_867_000,
        body: br#"{"type":"eval.run.succeeded","data":{"id":"evalrun_1"}}"#.to_vec(),
        traceparent: None,
        replay_of: None,
    };
    let added = producer.enqueue(Family::Eval, &entry).await.unwrap();
    assert!(matches!(added, Enqueued::Added { .. }));
    let ended = run(&filled, &redis, &["wait", "--timeout", "1s", "evalrun_1"]).with_code(1);
    assert_eq!(ended.stdout, "waiting    evalrun_1\n");
}

async fn without_redis_the_database_ends_it(filled: Filled) {
    let open = filled.add_event("wh_open", "response.completed", Some("resp_open"), 5).await;
    let url = format!("redis://127.0.0.1:{}", free_port());
    let wait = Running::start(&filled, &["wait", "resp_open", "batch_1", "--redis-url", &url]);
    wait.wait_for("stored     batch_1").await;
    filled.store.complete_event(&open).await.unwrap();
    let (code, lines) = wait.ended();
    assert_eq!(
        (code, lines.as_slice()),
        (0, &["stored     batch_1".to_owned(), "stored     resp_open".to_owned()][..])
    );

    // Whether a new entry waits in the queue is unknown: it is lost once Redis has been away for some time.
    let wait = Running::start(&filled, &["wait", "evalrun_1", "--redis-url", &url]);
    let (code, lines) = wait.ended();
    assert_eq!((code, lines.as_slice()), (1, &["not_found  evalrun_1".to_owned()][..]));
}

#[test]
fn an_id_that_cannot_be_awaited_is_a_usage_error_with_those_that_can() {
    for id in ["wh_1", "file-1", "resp_", "x"] {
        let ended = landfall(&[], &["wait", "resp_1", id]).with_code(2);
        let words = "write one that starts with resp_, batch_, ftjob-, ftjob_, evalrun_, sess_ or asess_";
        assert!(ended.stdout.is_empty() && ended.stderr.contains(words), "{ended:#?}");
    }
    let ended = landfall(&[], &["wait", "resp_1", "--timeout", "soon"]).with_code(2);
    assert!(ended.stderr.contains("write a time such as 90s, 30m, 2h or 1d"), "{ended:#?}");
}

#[tokio::test]
async fn a_terminal_shows_the_lines_beside_the_progress() {
    let (filled, redis) = (Filled::with_everything().await, RedisServer::start());
    let (settings, url) = (filled.settings(), redis.url());
    let mut all = vec![("REDIS_URL", url.as_str())];
    all.extend(settings.iter().map(|(name, value)| (*name, value.as_str())));
    let arguments = ["wait", "batch_1", "resp_nowhere", "--timeout", "2s"];
    let words = [
        "stored     batch_1",
        "1 of 2 ended",
        "waiting    resp_nowhere",
        "still waiting for 1 object after 2s",
    ];
    at_terminal(&all, &arguments, "").with(1, &words);
}

on_both_databases!(
    what_has_ended_is_answered_at_once,
    an_object_that_is_not_there_in_time_is_waiting,
    a_lost_object_is_waited_for_once_a_new_entry_is_queued,
    without_redis_the_database_ends_it,
);
