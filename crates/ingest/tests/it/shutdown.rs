//! A shutdown accepts nothing new and finishes accepted requests.

use std::time::{Duration, Instant};

use ingest::Limits;
use test_support::signed_webhook::SignedWebhook;
use test_support::wait;
use tokio::net::TcpStream;

use crate::harness::{RECEIVED, TestIngest, request};

/// Much less than [`Limits::drain`]: a longer shutdown waited for a time-out.
const AT_ONCE: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_request_in_progress_is_finished_and_nothing_new_is_accepted() {
    let mut ingest = TestIngest::start().await;
    let webhook = SignedWebhook::new("batch.completed", "batch_1");
    let bytes = request(&webhook);
    let (first, rest) = bytes.split_at(bytes.len() - 10);
    let mut connection = ingest.connect().await;
    connection.send(first).await;
    // The response on another connection proves that this one was accepted before it.
    ingest.post(&SignedWebhook::new("batch.completed", "batch_0")).await.expect(200, RECEIVED);

    ingest.begin_stop();
    wait::until("the port to be closed", async || {
        TcpStream::connect(ingest.addr).await.is_err().then_some(())
    })
    .await;
    connection.send(rest).await;
    let response = connection.response().await;
    response.expect(200, RECEIVED);
    assert_eq!(response.header("connection"), Some("close"));
    ingest.ended().await.unwrap();
    assert_eq!(ingest.count_queued().await, 2);
}

#[tokio::test]
async fn idle_connections_do_not_delay_a_shutdown() {
    let mut ingest = TestIngest::start().await;
    let mut connection = ingest.connect().await;
    connection.send(&request(&SignedWebhook::new("batch.completed", "batch_1"))).await;
    connection.response().await.expect(200, RECEIVED);
    let started = Instant::now();
    ingest.begin_stop();
    ingest.ended().await.unwrap();
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_stalled_client_delays_a_shutdown_only_for_the_drain_time() {
    let limits =
        Limits { body: Duration::from_secs(3600), drain: Duration::from_secs(1), ..Limits::default() };
    let mut ingest = TestIngest::start_with(&[], limits).await;
    let bytes = request(&SignedWebhook::new("batch.completed", "batch_1"));
    let mut connection = ingest.connect().await;
    connection.send(&bytes[..bytes.len() - 1]).await;
    ingest.post(&SignedWebhook::new("batch.completed", "batch_0")).await.expect(200, RECEIVED);
    let started = Instant::now();
    ingest.begin_stop();
    ingest.ended().await.unwrap();
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
}

#[tokio::test]
async fn ingest_is_not_ready_during_a_shutdown() {
    let ingest = TestIngest::start().await;
    wait::until("readiness", async || (ingest.admin("/readyz").await.status == 200).then_some(())).await;
    let bytes = request(&SignedWebhook::new("batch.completed", "batch_1"));
    let mut connection = ingest.connect().await;
    connection.send(&bytes[..bytes.len() - 1]).await;
    ingest.post(&SignedWebhook::new("batch.completed", "batch_0")).await.expect(200, RECEIVED);
    ingest.begin_stop();
    let ready = ingest.admin("/readyz").await;
    ready.expect(503, r#"{"reason":"stopping","status":"not ready"}"#);
    connection.send(&bytes[bytes.len() - 1..]).await;
    connection.response().await.expect(200, RECEIVED);
}
