//! Redis down, slow, or up again: 503 with Retry-After, never an unjustified 200, and recovery without a restart.

use std::io::{Read as _, Write as _};
use std::process::Command;

use ingest::Limits;
use test_support::redis::RedisServer;
use test_support::signed_webhook::SignedWebhook;
use test_support::wait;

use crate::harness::{RECEIVED, Response, TestIngest};

fn expect_unavailable(response: &Response) {
    response.expect(503, r#"{"error":"Queue unavailable"}"#);
    let secs: u32 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=5).contains(&secs), "{secs}");
}

async fn until_received(ingest: &TestIngest, webhook: &SignedWebhook) {
    wait::until("the webhook to be received", async || {
        let response = ingest.post(webhook).await;
        (response.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn webhooks_are_503_while_redis_is_down_and_accepted_afterwards() {
    let mut ingest = TestIngest::start().await;
    ingest.post(&SignedWebhook::new("batch.completed", "batch_0")).await.expect(200, RECEIVED);

    ingest.redis.kill();
    let webhook = SignedWebhook::new("batch.completed", "batch_1");
    expect_unavailable(&ingest.post(&webhook).await);
    let ready = ingest.admin("/readyz").await;
    assert!(ready.status == 503 && ready.body.contains("\"reason\":\"could not ping Redis: "), "{ready:?}");
    assert_eq!(ingest.admin("/healthz").await.status, 200);

    ingest.redis.resume();
    until_received(&ingest, &webhook).await;
    wait::until("readiness", async || (ingest.admin("/readyz").await.status == 200).then_some(())).await;
    assert_eq!(ingest.count_queued().await, 2);
    let metrics = ingest.admin("/metrics").await.body;
    assert!(!metrics.contains("landfall_ingest_requests_total{outcome=\"unavailable\"} 0\n"), "{metrics}");
}

#[tokio::test]
async fn ingest_starts_without_redis_and_prepares_the_queue_later() {
    let mut redis = RedisServer::start();
    redis.kill();
    let mut ingest = TestIngest::start_on(redis, &[], Limits::default()).await;
    expect_unavailable(&ingest.post(&SignedWebhook::new("batch.completed", "batch_1")).await);

    ingest.redis.resume();
    wait::until("the consumer groups", async || {
        let groups = redis_says(ingest.redis.port(), "XINFO GROUPS {landfall}:events:batch");
        groups.contains("workers").then_some(())
    })
    .await;
    until_received(&ingest, &SignedWebhook::new("batch.completed", "batch_2")).await;
}

#[tokio::test]
async fn webhooks_are_503_while_redis_hangs() {
    let ingest = TestIngest::start().await;
    ingest.post(&SignedWebhook::new("batch.completed", "batch_0")).await.expect(200, RECEIVED);
    signal("STOP", ingest.redis.pid());
    let webhook = SignedWebhook::new("batch.completed", "batch_1");
    expect_unavailable(&ingest.post(&webhook).await);
    signal("CONT", ingest.redis.pid());
    until_received(&ingest, &webhook).await;
    assert_eq!(ingest.count_queued().await, 2);
}

#[tokio::test]
async fn a_redis_that_is_full_or_read_only_is_503() {
    let ingest = TestIngest::start().await;
    let port = ingest.redis.port();
    ingest.post(&SignedWebhook::new("batch.completed", "batch_0")).await.expect(200, RECEIVED);
    for (breaks, repairs) in [
        ("CONFIG SET maxmemory 1mb", "CONFIG SET maxmemory 0"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
    ] {
        assert!(redis_says(port, breaks).starts_with("+OK"));
        let webhook = SignedWebhook::new("batch.completed", "batch_1");
        expect_unavailable(&ingest.post(&webhook).await);
        assert!(redis_says(port, repairs).starts_with("+OK"));
        until_received(&ingest, &webhook).await;
    }
}

/// The raw reply to one command.
pub(crate) fn redis_says(port: u16, command: &str) -> String {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    // QUIT makes the server close the connection after the replies.
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

pub(crate) fn signal(name: &str, pid: u32) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(status.success());
}
