//! The documented responses, row by row.

use test_support::signed_webhook::{SignedWebhook, now_secs};

use crate::harness::{INVALID, PATH, RECEIVED, TestIngest, head, request};

#[tokio::test]
async fn a_genuine_webhook_is_received_and_queued() {
    let ingest = TestIngest::start().await;
    ingest.post(&SignedWebhook::new("batch.completed", "batch_1")).await.expect(200, RECEIVED);
    assert_eq!(ingest.count_queued().await, 1);
}

#[tokio::test]
async fn a_repeated_webhook_id_is_received_and_not_queued_again() {
    let ingest = TestIngest::start().await;
    let webhook = SignedWebhook::new("batch.completed", "batch_1");
    ingest.post(&webhook).await.expect(200, RECEIVED);
    // A retry by OpenAI has a new timestamp and signature.
    let again = SignedWebhook::signed_at(&webhook.webhook_id, webhook.body.clone(), now_secs() + 1);
    ingest.post(&again).await.expect(200, RECEIVED);
    assert_eq!(ingest.count_queued().await, 1);
}

#[tokio::test]
async fn a_duplicate_sent_a_thousand_times_at_once_is_queued_once() {
    let ingest = TestIngest::start().await;
    let bytes = request(&SignedWebhook::new("response.completed", "resp_1"));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (bytes, mut connection) = (bytes.clone(), ingest.connect().await);
        clients.spawn(async move {
            for _ in 0..10 {
                connection.send(&bytes).await;
                connection.response().await.expect(200, RECEIVED);
            }
        });
    }
    clients.join_all().await;
    assert_eq!(ingest.count_queued().await, 1);
}

#[tokio::test]
async fn a_forgery_is_refused_without_a_reason() {
    let ingest = TestIngest::start().await;
    let webhook = SignedWebhook::new("batch.completed", "batch_1");
    let length = format!("Content-Length: {}", webhook.body.len());
    let good = webhook.headers();
    let without = |name: &str| good.iter().filter(|(known, _)| *known != name).cloned().collect::<Vec<_>>();
    let with = |name: &'static str, value: &str| {
        let mut headers = without(name);
        headers.push((name, value.to_owned()));
        headers
    };
    let mut twice = good.to_vec();
    twice.push((webhook::HEADER_ID, webhook.webhook_id.clone()));
    let old = SignedWebhook::signed_at("wh_old", webhook.body.clone(), now_secs() - 400);
    let early = SignedWebhook::signed_at("wh_early", webhook.body.clone(), now_secs() + 400);
    let cases = [
        ("no id", without(webhook::HEADER_ID)),
        ("no timestamp", without(webhook::HEADER_TIMESTAMP)),
        ("no signature", without(webhook::HEADER_SIGNATURE)),
        ("an empty id", with(webhook::HEADER_ID, "")),
        ("another id", with(webhook::HEADER_ID, "wh_other")),
        ("an id with a dot", with(webhook::HEADER_ID, "wh_1.2")),
        ("two ids", twice),
        ("no number as timestamp", with(webhook::HEADER_TIMESTAMP, "yesterday")),
        ("an old timestamp", old.headers().to_vec()),
        ("a timestamp of the future", early.headers().to_vec()),
        ("garbage as signature", with(webhook::HEADER_SIGNATURE, "v1,\u{e9}")),
        ("another scheme", with(webhook::HEADER_SIGNATURE, &webhook.signature.replace("v1,", "v2,"))),
    ];
    for (name, headers) in cases {
        let mut bytes = head(PATH, &headers, &length);
        bytes.extend_from_slice(&webhook.body);
        let response = ingest.ask(&bytes).await;
        assert_eq!((response.status, response.body.as_str()), (400, INVALID), "{name}");
    }
    let mut forged = webhook.clone();
    forged.body[20] ^= 1;
    ingest.post(&forged).await.expect(400, INVALID);
    assert_eq!(ingest.count_queued().await, 0);

    let metrics = ingest.admin("/metrics").await.body;
    for sample in [
        r#"landfall_ingest_requests_total{outcome="rejected"} 13"#,
        r#"landfall_ingest_requests_total{outcome="accepted"} 0"#,
        r#"landfall_ingest_refusals_total{reason="missing_header"} 4"#,
        r#"landfall_ingest_refusals_total{reason="stale_timestamp_genuine"} 2"#,
        "landfall_ingest_ack_seconds_count 0",
    ] {
        assert!(metrics.contains(&format!("{sample}\n")), "{sample} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn the_age_of_an_acknowledged_event_is_measured_once() {
    let ingest = TestIngest::start().await;
    let created_at = now_secs() - 100;
    let body = format!(r#"{{"type":"batch.failed","created_at":{created_at},"data":{{"id":"batch_1"}}}}"#);
    let webhook = SignedWebhook::with_body("wh_of_a_late_event", body.into_bytes());
    ingest.post(&webhook).await.expect(200, RECEIVED);
    ingest.post(&webhook).await.expect(200, RECEIVED);
    let metrics = ingest.admin("/metrics").await.body;
    for sample in [
        r#"landfall_event_lag_seconds_count{stage="acked"} 1"#,
        r#"landfall_event_lag_seconds_bucket{le="60.0",stage="acked"} 0"#,
        r#"landfall_event_lag_seconds_bucket{le="300.0",stage="acked"} 1"#,
        "landfall_ingest_ack_seconds_count 2",
    ] {
        assert!(metrics.contains(&format!("{sample}\n")), "{sample} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn any_configured_secret_is_accepted() {
    let both = format!(
        "whsec_YW5vdGhlciBzZWNyZXQsIDMyIGJ5dGVzIGxvbmcuLi4=,{}",
        test_support::signed_webhook::SECRET
    );
    let ingest = TestIngest::start_with(&["--openai-webhook-secret", &both], ingest::Limits::default()).await;
    ingest.post(&SignedWebhook::new("batch.completed", "batch_1")).await.expect(200, RECEIVED);
}

#[tokio::test]
async fn another_method_is_405_and_names_the_allowed_one() {
    let ingest = TestIngest::start().await;
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let response = ingest.ask(format!("{method} {PATH} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
        response.expect(405, r#"{"error":"Method not allowed"}"#);
        assert_eq!(response.header("allow"), Some("POST"), "{method}");
    }
}

#[tokio::test]
async fn another_path_is_404_even_with_a_genuine_webhook() {
    let ingest = TestIngest::start().await;
    let webhook = SignedWebhook::new("batch.completed", "batch_1");
    for path in [
        "/",
        "/webhook",
        "/openai/webhook/",
        "/openai/webhook/acme",
        "/openai/webhookx",
        "/healthz",
        "/metrics",
    ] {
        let mut bytes = head(path, &webhook.headers(), &format!("Content-Length: {}", webhook.body.len()));
        bytes.extend_from_slice(&webhook.body);
        ingest.ask(&bytes).await.expect(404, r#"{"error":"Not found"}"#);
    }
    assert_eq!(ingest.count_queued().await, 0);
}

#[tokio::test]
async fn the_path_is_a_setting_and_a_query_does_not_matter() {
    let ingest = TestIngest::start_with(&["--webhook-path", "/hooks/o.1"], ingest::Limits::default()).await;
    let webhook = SignedWebhook::new("batch.completed", "batch_1");
    for (path, status) in [("/hooks/o.1?from=openai", 200), ("/hooks/oX1", 404), (PATH, 404)] {
        let mut bytes = head(path, &webhook.headers(), &format!("Content-Length: {}", webhook.body.len()));
        bytes.extend_from_slice(&webhook.body);
        assert_eq!(ingest.ask(&bytes).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn garbage_is_refused_and_the_next_client_is_served() {
    let ingest = TestIngest::start().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
        b"POST / HTTP/9.9\r\n\r\n",
        b"\r\n\r\nhello\r\n\r\n",
    ] {
        let mut connection = ingest.connect().await;
        connection.send(bytes).await;
        let status = connection.try_response().await.map(|response| response.status);
        assert!(status.is_none_or(|status| status == 400), "{status:?}");
    }
    ingest.post(&SignedWebhook::new("batch.completed", "batch_1")).await.expect(200, RECEIVED);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_over_one_connection() {
    let ingest = TestIngest::start().await;
    let mut connection = ingest.connect().await;
    let bytes: Vec<u8> = (0..5)
        .flat_map(|n| request(&SignedWebhook::new("eval.run.failed", &format!("evalrun_{n}"))))
        .collect();
    connection.send(&bytes).await;
    for _ in 0..5 {
        connection.response().await.expect(200, RECEIVED);
    }
    connection.send(&request(&SignedWebhook::new("batch.failed", "batch_1"))).await;
    connection.response().await.expect(200, RECEIVED);
    assert_eq!(ingest.count_queued().await, 6);
}

#[tokio::test]
async fn a_sender_that_is_not_genuine_is_disconnected() {
    let ingest = TestIngest::start().await;
    let mut forged = SignedWebhook::new("batch.completed", "batch_1");
    forged.webhook_id.push('x');
    let elsewhere = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    for bytes in [request(&forged), elsewhere] {
        let mut connection = ingest.connect().await;
        connection.send(&bytes).await;
        assert_eq!(connection.response().await.header("connection"), Some("close"));
        connection.closed().await;
    }
}
