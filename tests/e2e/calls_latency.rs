//! Measures how long a call takes from the socket of ingest to a local target. It prints the figure of
//! docs/benchmarks.md with a release build; the limit that it asserts only catches a delay of another order.
//! `cargo build --release --workspace --all-targets && cargo test --release --test e2e -- --ignored --nocapture calls_latency`

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use test_support::receiver::{Receiver, Reply};
use test_support::signed_webhook::SignedWebhook;
use test_support::wait;
use tokio::time::MissedTickBehavior;

use crate::harness::Database;
use crate::notifications::{start, target, targets_file};

const PER_SEC: u32 = 200;
const SECS: u32 = 20;
/// The target for an idle machine and a release build is 50 ms.
const P99_MAX: Duration = Duration::from_secs(5);

type Times = Arc<Mutex<HashMap<String, Instant>>>;

async fn calls_reach_a_local_target_at_200_per_second(database: Database) {
    let arrived = Times::default();
    let arrivals = Arc::clone(&arrived);
    let server = Receiver::start(move |request| {
        let now = Instant::now();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let webhook_id = body["data"]["event"]["webhook_id"].as_str().unwrap();
        arrivals.lock().unwrap().entry(webhook_id.to_owned()).or_insert(now);
        Reply::ok()
    })
    .await;
    let (_folder, path) = targets_file(&[target("app", &server, "rate_per_sec = 1000")]);
    let name = format!("{database:?}");
    let mut landfall = start(database, 1, &path, &[]).await;
    landfall.workers[0].wait_for_log("worker started");
    let landfall = Arc::new(landfall);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / PER_SEC);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut due, mut posts) = (HashMap::new(), Vec::new());
    for number in 0..PER_SEC * SECS {
        let webhook = SignedWebhook::new("realtime.call.incoming", &format!("rtc_{number}"));
        // Open loop: latency counts from the moment at which the request was due.
        let at = ticks.tick().await;
        due.insert(webhook.webhook_id.clone(), at.into_std());
        let landfall = Arc::clone(&landfall);
        posts.push(tokio::spawn(async move { landfall.post(&webhook).await.0 }));
    }
    for post in posts {
        assert_eq!(post.await.unwrap(), 200);
    }
    wait::until("all calls", async || (arrived.lock().unwrap().len() == due.len()).then_some(())).await;
    let arrived = arrived.lock().unwrap();
    let mut took: Vec<Duration> = due.iter().map(|(id, due)| arrived[id].duration_since(*due)).collect();
    took.sort_unstable();
    let at = |share: usize| took[(took.len() * share / 1000).min(took.len() - 1)];
    print(&name, at(500), at(990), at(1000));
    assert!(at(990) < P99_MAX, "p99 {:?}", at(990));
}

#[expect(clippy::print_stdout, reason = "a test on demand that prints its measurements")]
fn print(database: &str, p50: Duration, p99: Duration, max: Duration) {
    println!("calls at {PER_SEC}/s for {SECS} s, {database}: p50 {p50:.1?}, p99 {p99:.1?}, max {max:.1?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures: see above"]
async fn on_sqlite() {
    calls_reach_a_local_target_at_200_per_second(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures: see above"]
async fn on_postgres() {
    calls_reach_a_local_target_at_200_per_second(Database::Postgres).await;
}
