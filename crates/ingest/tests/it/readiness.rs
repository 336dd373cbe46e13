//! `/readyz` reflects whether events can be enqueued, and recovers without an incoming webhook.

use ingest::Limits;
use test_support::redis::RedisServer;
use test_support::signed_webhook::SignedWebhook;
use test_support::wait;

use crate::harness::{RECEIVED, TestIngest};
use crate::outage::{redis_says, signal};

const UNAVAILABLE: &str = r#"{"error":"Queue unavailable"}"#;

async fn until_ready(ingest: &TestIngest) {
    wait::until("readiness", async || (ingest.admin("/readyz").await.status == 200).then_some(())).await;
}

/// Waits until ingest is not ready, and returns the reason.
async fn until_not_ready(ingest: &TestIngest) -> String {
    wait::until("the end of readiness", async || {
        let response = ingest.admin("/readyz").await;
        (response.status == 503).then_some(response.body)
    })
    .await
}

fn run_commands(ingest: &TestIngest, commands: &[&str]) {
    for command in commands {
        let response = redis_says(ingest.redis.port(), command);
        assert!(!response.starts_with('-'), "{command}: {response}");
    }
}

fn batch(number: u32) -> SignedWebhook {
    SignedWebhook::new("batch.completed", &format!("batch_{number}"))
}

/// Grows by two to eight with each check of ingest.
fn count_checks(ingest: &TestIngest) -> u64 {
    let stats = redis_says(ingest.redis.port(), "INFO commandstats");
    let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_xgroup|create:calls="));
    calls.map_or(0, |rest| rest.split_once(',').unwrap().0.parse().unwrap())
}

#[tokio::test]
async fn a_fault_that_affects_all_events_ends_readiness_until_it_is_fixed() {
    let ingest = TestIngest::start().await;
    until_ready(&ingest).await;
    let mut number = 0;
    for (breaks, repairs, reason) in [
        ("ACL SETUSER default -evalsha -eval", "ACL SETUSER default +@all", "permission"),
        ("ACL SETUSER default -xadd", "ACL SETUSER default +@all", "Redis refused the write"),
        ("ACL SETUSER default resetkeys ~other", "ACL SETUSER default ~*", "permission"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "read-only"),
        ("CONFIG SET maxmemory 1mb", "CONFIG SET maxmemory 0", "Redis"),
        (
            "CONFIG SET min-replicas-to-write 1",
            "CONFIG SET min-replicas-to-write 0",
            "Redis refused the write",
        ),
    ] {
        run_commands(&ingest, &[breaks]);
        number += 1;
        ingest.post(&batch(number)).await.expect(503, UNAVAILABLE);
        let said = until_not_ready(&ingest).await;
        assert!(said.contains(reason), "{breaks}: {said}");
        run_commands(&ingest, &[repairs]);
        until_ready(&ingest).await;
        ingest.post(&batch(number)).await.expect(200, RECEIVED);
    }
}

#[tokio::test]
async fn ingest_without_permission_is_not_ready_from_the_start() {
    let redis = RedisServer::start();
    assert!(redis_says(redis.port(), "ACL SETUSER default -xadd").starts_with("+OK"));
    let ingest = TestIngest::start_on(redis, &[], Limits::default()).await;
    // Twice: a check must not have made it ready in between.
    for _ in 0..2 {
        let before = count_checks(&ingest);
        wait::until("the next check", async || (count_checks(&ingest) > before + 8).then_some(())).await;
        let said = until_not_ready(&ingest).await;
        assert!(said.contains("Redis refused the write"), "{said}");
    }
    run_commands(&ingest, &["ACL SETUSER default +@all"]);
    until_ready(&ingest).await;
}

#[tokio::test]
async fn a_key_of_the_wrong_type_ends_readiness_until_it_is_deleted() {
    let ingest = TestIngest::start().await;
    until_ready(&ingest).await;
    run_commands(&ingest, &["DEL {landfall}:events:batch", "SET {landfall}:events:batch 1"]);
    ingest.post(&batch(1)).await.expect(503, UNAVAILABLE);
    let before = count_checks(&ingest);
    wait::until("two more checks", async || (count_checks(&ingest) > before + 4).then_some(())).await;
    let said = ingest.admin("/readyz").await;
    assert!(said.status == 503 && said.body.contains("WRONGTYPE"), "{said:?}");
    // The other families still work.
    ingest.post(&SignedWebhook::new("response.completed", "resp_1")).await.expect(200, RECEIVED);
    run_commands(&ingest, &["DEL {landfall}:events:batch"]);
    until_ready(&ingest).await;
    ingest.post(&batch(1)).await.expect(200, RECEIVED);
}

#[tokio::test]
async fn a_redis_that_hangs_ends_readiness_until_it_resumes() {
    let ingest = TestIngest::start().await;
    until_ready(&ingest).await;
    signal("STOP", ingest.redis.pid());
    ingest.post(&batch(1)).await.expect(503, UNAVAILABLE);
    until_not_ready(&ingest).await;
    signal("CONT", ingest.redis.pid());
    until_ready(&ingest).await;
}

#[tokio::test]
async fn a_full_stream_of_one_family_does_not_end_readiness() {
    let ingest = TestIngest::start_with(&["--max-stream-length", "1"], Limits::default()).await;
    until_ready(&ingest).await;
    ingest.post(&batch(1)).await.expect(200, RECEIVED);
    ingest.post(&batch(2)).await.expect(503, UNAVAILABLE);
    assert_eq!(ingest.admin("/readyz").await.status, 200);
}

#[tokio::test]
async fn checks_leave_no_event_behind() {
    let redis = RedisServer::start();
    assert!(redis_says(redis.port(), "ACL SETUSER default -xadd").starts_with("+OK"));
    let ingest = TestIngest::start_on(redis, &[], Limits::default()).await;
    wait::until("a check", async || (count_checks(&ingest) > 0).then_some(())).await;
    run_commands(&ingest, &["ACL SETUSER default +@all"]);
    until_ready(&ingest).await;
    assert_eq!(ingest.count_queued().await, 0);
    let gone =
        async || redis_says(ingest.redis.port(), "EXISTS {landfall}:check").starts_with(":0").then_some(());
    wait::until("the stream of the check to be gone", gone).await;
}
