//! Redis at its memory limit: ingest answers 503, workers drain the queue, and ingest then recovers automatically.

use test_support::programs::Program;
use test_support::redis::RedisServer;
use test_support::signed_webhook::SignedWebhook;
use test_support::wait;
use webhook::EventState;

use crate::harness::Landfall;
use crate::raw_redis::redis;

const EVENTS: usize = 40;
/// Large enough to be visible in Redis's memory.
const PADDING_BYTES: usize = 100_000;

fn large(number: usize) -> SignedWebhook {
    let padding = "x".repeat(PADDING_BYTES);
    let body = format!(
        r#"{{"type":"response.completed","padding":"{padding}","data":{{"id":"resp_demo_research"}}}}"#
    );
    SignedWebhook::with_body(&format!("wh_large_{number}"), body.into_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn at_its_memory_limit_workers_drain_redis_and_ingest_recovers_by_itself() {
    let mut landfall = Landfall::start_with(0, &[]).await;
    let before: String = redis(&landfall, "INFO memory").await;
    for number in 0..EVENTS {
        assert_eq!(landfall.post(&large(number)).await.0, 200);
    }
    let used = |info: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
        line.trim().parse::<usize>().unwrap()
    };
    let full: String = redis(&landfall, "INFO memory").await;
    // Below the current use, so that Redis rejects writes, and above the use of an empty queue.
    let limit = usize::midpoint(used(&before), used(&full));
    redis::<()>(&landfall, &format!("CONFIG SET maxmemory {limit}")).await;
    let refused = landfall.post(&large(EVENTS)).await;
    assert_eq!(refused.0, 503);

    landfall.fake.inject(fake_openai::Fault::times(fake_openai::FaultKind::Status(500), "/responses/", 3));
    landfall.add_worker();
    landfall.settled().await;
    let accepted = async || (landfall.post(&large(EVENTS)).await.0 == 200).then_some(());
    wait::until("ingest to recover", accepted).await;
    landfall.settled().await;
    let store = landfall.store().await;
    let counts = store.count_events().await.unwrap();
    let stored: i64 = counts.iter().filter(|(_, state, _)| *state == EventState::Stored).map(|c| c.2).sum();
    assert_eq!(stored, EVENTS as i64 + 1, "{counts:?}");
    assert_eq!(landfall.status()["total"]["dead"], 0);
}

#[test]
fn a_worker_refuses_a_redis_that_would_lose_events() {
    let redis = RedisServer::start_with(&[]);
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/landfall.db", folder.path().display());
    let files = folder.path().join("files").display().to_string();
    let environment = [
        ("REDIS_URL", &*redis.url()),
        ("DATABASE_URL", &*database),
        ("FILES_URL", &*files),
        ("ADMIN_ADDR", "127.0.0.1:0"),
        ("FETCH", "off"),
    ];
    let mut worker = Program::start("worker", &environment);
    assert_eq!(worker.wait().code(), Some(2));
    let printed = wait::until_blocking("its error message", || {
        let printed = worker.log().join("\n");
        printed.contains("REDIS_URL").then_some(printed)
    });
    assert!(printed.contains("appendonly yes") && printed.contains("ALLOW_VOLATILE_REDIS=true"), "{printed}");
    let insisting = [&environment[..], &[("ALLOW_VOLATILE_REDIS", "true")]].concat();
    let mut worker = Program::start("worker", &insisting);
    worker.wait_for_log("worker started");
    assert!(worker.stop().success());
}
