//! `landfall replay` and `landfall fetch`: the resulting queue entries, and the output.

use std::time::Duration;

use queue::{Consumer, ConsumerConfig, Entry, QueueConfig};
use serde_json::Value;
use store::{Completion, EvalRunRecord};
use test_support::redis::RedisServer;
use test_support::wait;
use webhook::{Event, Family, FetchState, Reason};

use crate::command::{Ended, landfall};
use crate::filled::{Filled, RESPONSE_ID};
use crate::terminal::at_terminal;

struct Repair {
    redis: RedisServer,
    filled: Filled,
}

impl Repair {
    async fn start() -> Self {
        Self { redis: RedisServer::start(), filled: Filled::with_everything().await }
    }

    fn landfall(&self, arguments: &[&str]) -> Ended {
        let (url, settings) = (self.redis.url(), self.filled.settings());
        let mut all = vec![("REDIS_URL", url.as_str())];
        all.extend(settings.iter().map(|(name, value)| (*name, value.as_str())));
        landfall(&all, arguments)
    }

    async fn consumer(&self, family: Family) -> Consumer {
        let queue = QueueConfig { url: self.redis.url().into(), key_prefix: "landfall".to_owned() };
        let lease = Duration::from_secs(600);
        Consumer::connect(ConsumerConfig { queue, family, name: "test".to_owned(), lease }).await.unwrap()
    }

    /// Receives and acknowledges all entries of a family.
    async fn entries(&self, family: Family) -> Vec<Entry> {
        let mut consumer = self.consumer(family).await;
        let mut entries = Vec::new();
        for delivery in consumer.receive_now(1000).await.unwrap() {
            entries.push(Entry::clone(delivery.content.as_ref().unwrap()));
            delivery.ack().await.unwrap();
        }
        entries
    }
}

#[tokio::test]
async fn an_event_is_enqueued_again_unchanged() {
    let repair = Repair::start().await;
    let before_ms = chrono::Utc::now().timestamp_millis();
    let ended = repair.landfall(&["replay", "wh_response"]).with_code(0);
    ended.fits_80_columns();
    assert!(
        ended.stdout.contains(RESPONSE_ID) && ended.stdout.contains("1 event enqueued again"),
        "{ended:#?}"
    );
    let entry = repair.entries(Family::Response).await.remove(0);
    assert_eq!((entry.webhook_id.as_str(), entry.replay_of.as_deref()), ("wh_response", Some("wh_response")));
    assert_eq!((entry.project.as_str(), entry.event_type.as_str()), ("default", "response.completed"));
    assert_eq!(Event::parse(&entry.body).unwrap().object_id().as_deref(), Some(RESPONSE_ID));
    assert!(entry.received_ms >= before_ms, "the retry window starts over");

    // An event id works, too; and every run adds entries.
    repair.landfall(&["replay", "evt_of_wh_response", "wh_batch"]).with_code(0);
    assert_eq!(repair.entries(Family::Response).await.len(), 1);
    assert_eq!(repair.entries(Family::Batch).await.len(), 1);
}

#[tokio::test]
async fn unknown_events_are_reported_and_the_others_enqueued() {
    let repair = Repair::start().await;
    let ended = repair.landfall(&["replay", "batch_1", "wh_nowhere", "wh_job"]).with_code(1);
    assert!(
        ended.stderr.contains("batch_1 is not an event") && ended.stderr.contains("landfall fetch"),
        "{ended:#?}"
    );
    assert!(ended.stderr.contains("no event found with ID wh_nowhere"), "{ended:#?}");
    assert_eq!(repair.entries(Family::FineTuning).await.len(), 1);
}

#[tokio::test]
async fn events_are_selected_by_family_state_and_age_and_listed_by_a_dry_run() {
    let repair = Repair::start().await;
    repair.filled.add_dead_event("wh_dead", "no").await;
    let chosen = |arguments: &[&str]| {
        let all = [&["replay", "--dry-run", "--json"], arguments].concat();
        let lines = repair.landfall(&all).with_code(0).json_lines();
        assert!(lines.iter().all(|line| line["enqueued"] == false));
        lines.iter().map(|line| line["webhook_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(chosen(&["--state", "dead"]), ["wh_dead"]);
    assert_eq!(chosen(&["--family", "batch"]), ["wh_batch"]);
    assert_eq!(
        chosen(&["--since", "1h"]),
        ["wh_batch", "wh_job", "wh_run", "wh_dead"],
        "in the order they came"
    );
    assert_eq!(chosen(&["--since", "1h", "--family", "agent"]), [""; 0]);
    assert_eq!(repair.landfall(&["status", "--json"]).json()["total"]["backlog"], 0, "nothing was enqueued");

    let ended = repair.landfall(&["replay", "--state", "dead", "--json"]).with_code(0);
    assert_eq!(ended.json()["enqueued"], true);
    assert_eq!(repair.entries(Family::Response).await[0].webhook_id, "wh_dead");
}

#[tokio::test]
async fn many_events_require_yes() {
    let repair = Repair::start().await;
    for number in 0..700 {
        repair.filled.add_event(&format!("wh_{number}"), "safety.alert.created", None, 5).await;
    }
    let ended = repair.landfall(&["replay", "--family", "safety"]).with_code(2);
    assert!(
        ended.stderr.contains("this would enqueue 700 events again") && ended.stderr.contains("--yes"),
        "{ended:#?}"
    );
    let ended = repair.landfall(&["replay", "--family", "safety", "--yes"]).with_code(0);
    assert_eq!(ended.stdout.lines().count(), 1, "no line for each of many: {ended:#?}");
    assert!(ended.stdout.starts_with("700 events enqueued again"), "{ended:#?}");
    let mut ids: Vec<_> =
        repair.entries(Family::Safety).await.into_iter().map(|entry| entry.webhook_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 700);
}

#[tokio::test]
async fn progress_at_a_terminal_has_whole_numbers() {
    let repair = Repair::start().await;
    for number in 0..700 {
        repair.filled.add_event(&format!("wh_{number}"), "safety.alert.created", None, 5).await;
    }
    let (url, settings) = (repair.redis.url(), repair.filled.settings());
    let mut all = vec![("REDIS_URL", url.as_str())];
    all.extend(settings.iter().map(|(name, value)| (*name, value.as_str())));
    let shown = at_terminal(&all, &["replay", "--family", "safety", "--yes"], "").with(0, &["/700", "/s"]);
    for before in shown.output.split("/s").collect::<Vec<_>>().split_last().unwrap().1 {
        let speed = before.rsplit(' ').next().unwrap();
        let is_whole = !speed.is_empty() && speed.chars().all(|c| c.is_ascii_digit() || c == ',');
        assert!(is_whole, "{speed:?} in {shown:#?}");
    }
}

#[tokio::test]
async fn a_known_object_is_fetched_by_its_event_and_an_unknown_one_by_a_synthetic_one() {
    let repair = Repair::start().await;
    let ended = repair.landfall(&["fetch", "evalrun_1", "resp_unheard_of", "--no-wait"]).with_code(0);
    ended.fits_80_columns();
    assert!(ended.stdout.contains("2 objects enqueued for a worker to fetch"), "{ended:#?}");
    let known = repair.entries(Family::Eval).await.remove(0);
    assert_eq!((known.webhook_id.as_str(), known.replay_of.as_deref()), ("wh_run", Some("wh_run")));
    let made = repair.entries(Family::Response).await.remove(0);
    assert!(made.webhook_id.starts_with("fetch_"), "{made:?}");
    assert_eq!(made.replay_of.as_ref(), Some(&made.webhook_id), "a stored object is fetched again");
    let event = Event::parse(&made.body).unwrap();
    assert_eq!(
        (event.kind.as_str(), event.object_id().as_deref()),
        ("response.completed", Some("resp_unheard_of"))
    );

    let ended =
        repair.landfall(&["fetch", "wh_run", "file-1", "ftjob-2", "--no-wait", "--json"]).with_code(1);
    assert!(ended.stderr.contains("wh_run is not the ID of an object that can be fetched"), "{ended:#?}");
    assert_eq!((&ended.json()["object_id"], &ended.json()["settled"]), (&"ftjob-2".into(), &false.into()));
    repair.filled.add_event("wh_call", "realtime.call.incoming", Some("rtc_1"), 5).await;
    let ended = repair.landfall(&["fetch", "rtc_1"]).with_code(1);
    assert!(ended.stderr.contains("nothing to fetch for rtc_1"), "{ended:#?}");
}

/// Stores the eval run as fetched, as a worker would, or as not found again.
async fn store_eval_run(repair: &Repair, fetch_state: FetchState) {
    let mut consumer = repair.consumer(Family::Eval).await;
    let received = async {
        loop {
            if let Some(delivery) = consumer.receive(1).await.unwrap().pop() {
                return delivery;
            }
        }
    };
    let delivery = tokio::time::timeout(wait::DEADLINE, received).await.unwrap();
    let now = chrono::Utc::now();
    let fetched = fetch_state == FetchState::Fetched;
    let run = EvalRunRecord {
        project: "default".to_owned(),
        run_id: "evalrun_1".to_owned(),
        status: fetched.then(|| "completed".to_owned()),
        eval_id: None,
        name: None,
        model: None,
        total: None,
        passed: None,
        failed: None,
        errored: None,
        report_url: None,
        error: None,
        created_at: None,
        received_at: now,
        fetch_state: fetch_state.into(),
        fetched_at: fetched.then_some(now),
        terminal: fetched,
        raw: None,
    };
    let completion = Completion {
        project: "default".to_owned(),
        webhook_id: "wh_run".to_owned(),
        attempts: 1,
        processed_at: now,
        reason: (!fetched).then_some(Reason::NotFound),
        notifications: Vec::new(),
        sent_early: Vec::new(),
        attempt: None,
    };
    repair.filled.store.save_eval_run(&run, &completion).await.unwrap();
    delivery.ack().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_objects_are_fetched_and_waited_for() {
    let repair = std::sync::Arc::new(Repair::start().await);
    let fetch = |arguments: &'static [&'static str]| {
        let repair = std::sync::Arc::clone(&repair);
        tokio::task::spawn_blocking(move || repair.landfall(arguments))
    };
    let not_found = fetch(&["fetch", "--missing"]);
    store_eval_run(&repair, FetchState::NotFound).await;
    let ended = not_found.await.unwrap().with_code(1);
    assert!(ended.stdout.starts_with("not_found  evalrun_1\n"), "{ended:#?}");

    let repaired = fetch(&["fetch", "--missing", "--json"]);
    store_eval_run(&repair, FetchState::Fetched).await;
    let line: Value = repaired.await.unwrap().with_code(0).json();
    assert_eq!((&line["object_id"], &line["family"]), (&"evalrun_1".into(), &"eval".into()));
    assert_eq!((&line["settled"], &line["fetch_state"]), (&true.into(), &"fetched".into()));

    let ended = fetch(&["fetch", "--missing"]).await.unwrap().with_code(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", "landfall: no objects are missing\n"));
}

/// An eval run that OpenAI did not know when the webhook was processed.
async fn add_not_found(filled: &Filled, webhook_id: &str, run_id: &str) {
    let Some(store::Found::EvalRun(mut run)) = filled.store.find("evalrun_1").await.unwrap().pop() else {
        panic!("it is there");
    };
    let mut done = filled.add_event(webhook_id, "eval.run.succeeded", Some(run_id), 5).await;
    done.reason = Some(Reason::NotFound);
    run.run_id = run_id.to_owned();
    filled.store.save_eval_run(&run, &done).await.unwrap();
}

#[tokio::test]
async fn a_mistyped_id_that_was_fetched_is_missing_nowhere() {
    let repair = Repair::start().await;
    let missing = || {
        let ended = repair.landfall(&["fetch", "--missing", "--no-wait", "--json"]).with_code(0);
        let lines = ended.json_lines();
        let ids: Vec<_> = lines.iter().map(|line| line["object_id"].as_str().unwrap().to_owned()).collect();
        (ids, ended.stderr)
    };
    add_not_found(&repair.filled, "fetch_0a1b2c", "evalrun_typo").await;
    let (ids, said) = missing();
    assert_eq!(ids, ["evalrun_1"], "a webhook referred to this one");
    assert!(said.contains("skipped 1"), "{said}");
    // A webhook shows that the object exists.
    add_not_found(&repair.filled, "wh_late", "evalrun_typo").await;
    assert_eq!(missing().0.len(), 2);
}

#[tokio::test]
async fn without_a_worker_the_wait_ends_and_the_event_stays_queued() {
    let repair = Repair::start().await;
    let ended = repair.landfall(&["fetch", "--missing", "--since", "1h", "--wait-secs", "0.5"]).with_code(1);
    ended.fits_80_columns();
    assert!(ended.stdout.starts_with("waiting    evalrun_1\n"), "{ended:#?}");
    assert_eq!(repair.entries(Family::Eval).await.len(), 1);
    let ended = repair.landfall(&["fetch", "--missing", "--since", "0s"]).with_code(0);
    assert!(ended.stderr.contains("no objects are missing"), "{ended:#?}");
}

#[tokio::test]
async fn an_unreachable_redis_is_exit_3() {
    let mut repair = Repair::start().await;
    repair.redis.kill();
    for arguments in [&["replay", "wh_batch"][..], &["fetch", "resp_1"]] {
        let ended = repair.landfall(arguments).with_code(3);
        assert!(ended.stderr.contains("the queue at REDIS_URL"), "{ended:#?}");
    }
}

#[test]
fn the_selection_is_required() {
    for arguments in [
        &["replay"][..],
        &["replay", "wh_1", "--family", "batch"],
        &["replay", "--dry-run"],
        &["fetch"],
        &["fetch", "resp_1", "--missing"],
        &["fetch", "resp_1", "--since", "1h"],
        &["fetch", "resp_1", "--wait-secs", "soon"],
    ] {
        let ended = landfall(&[], arguments).with_code(2);
        assert!(!ended.stderr.is_empty() && ended.stdout.is_empty(), "{ended:#?}");
    }
}
