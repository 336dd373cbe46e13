//! More connections than `MAX_CONNECTIONS`: the longest idle ones are evicted, active ones are not.

use std::process::Command;

use ingest::Limits;
use test_support::signed_webhook::SignedWebhook;

use crate::harness::{Connection, PATH, RECEIVED, TestIngest, head, request};

async fn start_with(max_connections: &str) -> TestIngest {
    TestIngest::start_with(&["--max-connections", max_connections], Limits::default()).await
}

async fn deliver(connection: &mut Connection, object: &str) {
    connection.send(&request(&SignedWebhook::new("batch.completed", object))).await;
    connection.response().await.expect(200, RECEIVED);
}

#[tokio::test]
async fn the_longest_idle_connection_is_evicted_first() {
    let ingest = start_with("2").await;
    let (mut first, mut second) = (ingest.connect().await, ingest.connect().await);
    deliver(&mut first, "batch_1").await;
    deliver(&mut second, "batch_2").await;
    deliver(&mut first, "batch_3").await;
    let mut third = ingest.connect().await;
    deliver(&mut third, "batch_4").await;
    second.closed().await;
    deliver(&mut first, "batch_5").await;
    assert_eq!(ingest.count_queued().await, 5);
}

#[tokio::test]
async fn hundreds_of_idle_connections_do_not_block_deliveries() {
    let ingest = start_with("8").await;
    let headers = SignedWebhook::new("batch.completed", "batch_1").headers();
    let half_a_body = [head(PATH, &headers, "Content-Length: 100"), b"{".to_vec()].concat();
    let mut idle = Vec::new();
    for number in 0..300 {
        let mut connection = ingest.connect().await;
        let start = [&b""[..], b"POST /openai/webhook HTTP/1.1\r\n", &half_a_body][number % 3];
        connection.try_send(start).await;
        idle.push(connection);
        if number % 10 == 0 {
            ingest
                .post(&SignedWebhook::new("batch.completed", &format!("batch_{number}")))
                .await
                .expect(200, RECEIVED);
        }
    }
    assert_eq!(ingest.count_queued().await, 30);
}

#[tokio::test]
async fn an_active_connection_is_not_evicted() {
    let ingest = start_with("1").await;
    let pid = ingest.redis.pid().to_string();
    let signal = |name: &str| assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    let mut active = ingest.connect().await;
    deliver(&mut active, "batch_1").await;
    signal("-STOP");
    active.send(&request(&SignedWebhook::new("batch.completed", "batch_2"))).await;
    assert!(active.nothing_comes().await);
    let (mut second, mut third) = (ingest.connect().await, ingest.connect().await);
    second.try_send(b"POST").await;
    third.try_send(b"POST").await;
    assert!(active.nothing_comes().await);
    signal("-CONT");
    active.response().await.expect(200, RECEIVED);
}

#[tokio::test]
async fn a_delivery_evicted_in_its_body_is_never_rejected_as_a_forgery() {
    let ingest = start_with("1").await;
    let bytes = request(&SignedWebhook::new("batch.completed", "batch_1"));
    let mut evicted = ingest.connect().await;
    // The response proves that the connection is registered.
    deliver(&mut evicted, "batch_0").await;
    evicted.send(&bytes[..bytes.len() - 1]).await;
    ingest.post(&SignedWebhook::new("batch.completed", "batch_2")).await.expect(200, RECEIVED);
    let response = evicted.response().await;
    response.expect(503, r#"{"error":"Queue unavailable"}"#);
    assert!(response.header("retry-after").is_some());
    evicted.closed().await;
    assert_eq!(ingest.count_queued().await, 2);
}
