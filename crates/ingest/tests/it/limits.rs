//! Limits on sizes and counts.

use ingest::Limits;
use test_support::signed_webhook::SignedWebhook;
use test_support::wait;

use crate::harness::{PATH, RECEIVED, TestIngest, head, request};

const TOO_LARGE: &str = r#"{"error":"Payload too large"}"#;

async fn start_with_100_bytes() -> TestIngest {
    TestIngest::start_with(&["--max-body-bytes", "100"], Limits::default()).await
}

#[tokio::test]
async fn a_content_length_over_the_limit_is_413_before_the_body_is_sent() {
    let ingest = start_with_100_bytes().await;
    let webhook = SignedWebhook::with_body("wh_1", vec![b'x'; 101]);
    // The body is never sent: the response must not wait for it.
    for length in ["Content-Length: 101", "Content-Length: 18446744073709551615"] {
        let response = ingest.ask(&head(PATH, &webhook.headers(), length)).await;
        response.expect(413, TOO_LARGE);
        assert_eq!(response.header("connection"), Some("close"));
    }
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_413() {
    let ingest = start_with_100_bytes().await;
    let webhook = SignedWebhook::with_body("wh_1", vec![b'x'; 120]);
    let mut bytes = head(PATH, &webhook.headers(), "Transfer-Encoding: chunked");
    for _ in 0..2 {
        bytes.extend_from_slice(b"3c\r\n");
        bytes.extend_from_slice(&[b'x'; 60]);
        bytes.extend_from_slice(b"\r\n");
    }
    // The end is missing: the limit is exceeded before it.
    ingest.ask(&bytes).await.expect(413, TOO_LARGE);
    assert_eq!(ingest.count_queued().await, 0);
}

#[tokio::test]
async fn a_client_that_sends_its_large_body_at_once_still_reads_the_413() {
    let ingest = TestIngest::start().await;
    let webhook = SignedWebhook::with_body("wh_1", vec![b'x'; (1 << 20) + 1]);
    let mut connection = ingest.connect().await;
    connection.try_send(&request(&webhook)).await;
    connection.response().await.expect(413, TOO_LARGE);
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_accepted() {
    let ingest = start_with_100_bytes().await;
    ingest.post(&SignedWebhook::with_body("wh_1", vec![b'x'; 100])).await.expect(200, RECEIVED);
}

#[tokio::test]
async fn a_body_of_one_mebibyte_is_accepted_by_default() {
    let ingest = TestIngest::start().await;
    ingest.post(&SignedWebhook::with_body("wh_1", vec![b'x'; 1 << 20])).await.expect(200, RECEIVED);
}

#[tokio::test]
async fn too_many_large_bodies_are_503_and_small_ones_are_accepted() {
    // The budget is never smaller than MAX_BODY_BYTES.
    let limits = Limits { large_bodies_bytes: 0, ..Limits::default() };
    let ingest = TestIngest::start_with(&["--max-body-bytes", "1000000"], limits).await;
    let slow = SignedWebhook::with_body("wh_slow", vec![b'x'; 1_000_000]);
    let slow_request = request(&slow);
    let mut connection = ingest.connect().await;
    let (most, rest) = slow_request.split_at(slow_request.len() - 1);
    connection.send(most).await;
    // Give ingest time to read it: otherwise either of the two bodies could be the rejected one.
    assert!(connection.nothing_comes().await);
    let large = SignedWebhook::with_body("wh_large", vec![b'x'; 100_000]);
    let refused = wait::until("the slow body to fill the budget", async || {
        let response = ingest.post(&large).await;
        // Until then it is accepted, first as new and then as a duplicate.
        (response.status != 200).then_some(response)
    })
    .await;
    refused.expect(503, r#"{"error":"Queue unavailable"}"#);
    assert!(refused.header("retry-after").is_some());
    assert!(ingest.admin("/metrics").await.body.contains(r#"{reason="bodies_too_large_together"} 1"#));
    let small = SignedWebhook::with_body("wh_small", vec![b'x'; 10_000]);
    ingest.post(&small).await.expect(200, RECEIVED);
    connection.send(rest).await;
    connection.response().await.expect(200, RECEIVED);
    ingest.post(&SignedWebhook::with_body("wh_next", vec![b'x'; 1_000_000])).await.expect(200, RECEIVED);
}

#[tokio::test]
async fn a_full_queue_is_503_and_the_retry_is_accepted_later() {
    let ingest = TestIngest::start_with(&["--max-stream-length", "2"], Limits::default()).await;
    for n in 0..2 {
        ingest
            .post(&SignedWebhook::new("batch.completed", &format!("batch_{n}")))
            .await
            .expect(200, RECEIVED);
    }
    let refused = SignedWebhook::new("batch.completed", "batch_3");
    let response = ingest.post(&refused).await;
    response.expect(503, r#"{"error":"Queue unavailable"}"#);
    assert!(response.header("retry-after").is_some());
    // Each family has a separate queue.
    ingest.post(&SignedWebhook::new("response.completed", "resp_1")).await.expect(200, RECEIVED);
    // The rejected webhook was not recorded as seen: it is accepted once there is space.
    assert_eq!(ingest.take_queued(webhook::Family::Batch).await.len(), 2);
    ingest.post(&refused).await.expect(200, RECEIVED);
    assert_eq!(ingest.take_queued(webhook::Family::Batch).await.len(), 1);
}
