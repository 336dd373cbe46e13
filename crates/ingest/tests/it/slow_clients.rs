//! Clients that are slow on purpose are disconnected.

use std::time::Duration;

use ingest::Limits;
use test_support::signed_webhook::SignedWebhook;
use test_support::wait;

use crate::harness::{Connection, PATH, RECEIVED, TestIngest, head, request};

const SHORT: Duration = Duration::from_secs(1);
/// Much longer than [`SHORT`], and much shorter than a test with the default limits would take to fail.
const SURELY_CUT: Duration = Duration::from_secs(30);

fn short_limits() -> Limits {
    Limits { head: SHORT, body: SHORT, keep_alive: SHORT, disconnect: SHORT, ..Limits::default() }
}

#[tokio::test]
async fn a_slow_head_is_cut_off() {
    let ingest = TestIngest::start_with(&[], short_limits()).await;
    for start in [&b""[..], b"P", b"POST /openai/webhook HTTP/1.1\r\nHost: x\r\nwebhook-id: wh_"] {
        let mut connection = ingest.connect().await;
        connection.send(start).await;
        let response = tokio::time::timeout(SURELY_CUT, connection.try_response()).await.unwrap();
        assert!(response.as_ref().is_none_or(|response| response.status == 408), "{response:?}");
        if response.is_some() {
            connection.closed().await;
        }
    }
}

/// Sends the same bytes repeatedly until the connection is closed; returns the statuses of the responses.
async fn trickle(mut connection: Connection, drop: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    let trickling = async {
        loop {
            connection.try_send(drop).await;
            match tokio::time::timeout(Duration::from_millis(20), connection.try_response()).await {
                Ok(Some(response)) => statuses.push(response.status),
                Ok(None) => break,
                Err(_) => {}
            }
        }
    };
    tokio::time::timeout(SURELY_CUT, trickling).await.expect("the trickle to be cut off");
    statuses
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_off_although_it_never_pauses() {
    let ingest = TestIngest::start_with(&[], short_limits()).await;
    let headers = SignedWebhook::new("batch.completed", "batch_1").headers();
    for (length, drop) in
        [("Content-Length: 1000000", &b"x"[..]), ("Transfer-Encoding: chunked", b"1\r\nx\r\n")]
    {
        let mut connection = ingest.connect().await;
        connection.send(&head(PATH, &headers, length)).await;
        assert_eq!(trickle(connection, drop).await, [408], "{length}");
    }
    assert!(ingest.admin("/metrics").await.body.contains(r#"{reason="body_too_slow"} 2"#));
}

#[tokio::test]
async fn a_missing_body_after_another_request_is_cut_off_too() {
    let ingest = TestIngest::start_with(&[], short_limits()).await;
    let first = request(&SignedWebhook::new("batch.completed", "batch_1"));
    let second = head(PATH, &SignedWebhook::new("batch.completed", "batch_2").headers(), "Content-Length: 9");
    for begun in [&b""[..], b"x"] {
        let mut connection = ingest.connect().await;
        connection.send(&[&first, &second, begun].concat()).await;
        connection.response().await.expect(200, RECEIVED);
        let response = tokio::time::timeout(SURELY_CUT, connection.response()).await.expect("a response");
        assert_eq!(response.status, 408, "{begun:?}");
    }
}

#[tokio::test]
async fn an_unread_body_is_cut_off_too() {
    let ingest = TestIngest::start_with(&["--max-body-bytes", "10"], short_limits()).await;
    let headers = SignedWebhook::new("batch.completed", "batch_1").headers();
    for (path, length, status) in [
        ("/elsewhere", "Transfer-Encoding: chunked", 404),
        ("/elsewhere", "Content-Length: 1000000", 404),
        (PATH, "Transfer-Encoding: chunked", 413),
        (PATH, "Content-Length: 1000000", 413),
    ] {
        let mut connection = ingest.connect().await;
        connection.send(&head(path, &headers, length)).await;
        connection.send(b"b\r\nhello world\r\n").await;
        assert_eq!(trickle(connection, b"1\r\nx\r\n").await, [status], "{path} {length}");
    }
}

#[tokio::test]
async fn a_genuine_sender_may_idle_only_for_a_while() {
    let ingest = TestIngest::start_with(&[], short_limits()).await;
    let mut connection = ingest.connect().await;
    connection.send(&request(&SignedWebhook::new("batch.completed", "batch_1"))).await;
    connection.response().await.expect(200, RECEIVED);
    connection.closed().await;
}

#[tokio::test]
async fn a_client_that_disconnects_within_its_body_leaves_nothing_behind() {
    let ingest = TestIngest::start().await;
    let webhook = SignedWebhook::new("batch.completed", "batch_1");
    let mut bytes = request(&webhook);
    bytes.truncate(bytes.len() - 1);
    let mut connection = ingest.connect().await;
    connection.send(&bytes).await;
    drop(connection);
    wait::until("the request to be counted", async || {
        let metrics = ingest.admin("/metrics").await.body;
        metrics.contains(r#"{reason="body_broken"} 1"#).then_some(())
    })
    .await;
    assert_eq!(ingest.count_queued().await, 0);
}

#[tokio::test]
async fn a_body_that_ends_early_is_503() {
    let ingest = TestIngest::start().await;
    let webhook = SignedWebhook::new("batch.completed", "batch_1");
    let bytes = request(&webhook);
    let mut connection = ingest.connect().await;
    connection.send(&bytes[..bytes.len() - 1]).await;
    connection.finish().await;
    let response = connection.response().await;
    response.expect(503, r#"{"error":"Queue unavailable"}"#);
    assert!(response.header("retry-after").is_some());
}

#[tokio::test]
async fn slow_clients_do_not_block_others() {
    let ingest = TestIngest::start_with(&["--max-connections", "4"], short_limits()).await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut connection = ingest.connect().await;
        connection.send(b"POST /openai/webhook HTTP/1.1\r\n").await;
        slow.push(connection);
    }
    ingest.post(&SignedWebhook::new("batch.completed", "batch_1")).await.expect(200, RECEIVED);
}
