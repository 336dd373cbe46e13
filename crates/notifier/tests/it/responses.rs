//! Requests, and the meaning of each response for the next attempt.

use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use notifier::{Credentials, Endpoint, EndpointConfig, EndpointError, SendError, Signer};
use test_support::receiver::{Receiver, Reply};

use crate::{SECRET, allowed, chain, config};

const BODY: &[u8] = br#"{"type":"response.stored"}"#;

fn exempt(config: EndpointConfig) -> EndpointConfig {
    EndpointConfig { allow: config.allow.clone().with_url(&config.url), ..config }
}

async fn send(endpoint: &Endpoint) -> Result<notifier::TargetResponse, SendError> {
    endpoint.send("ntf_1", Bytes::from_static(BODY), Utc::now()).await
}

#[tokio::test]
async fn every_attempt_has_the_same_id_and_bytes_and_a_fresh_signature() {
    let server = Receiver::start(|_| Reply::ok()).await;
    let url = server.url();
    let credentials =
        Credentials::Signature(Signer::new([SECRET, "whsec_b3RoZXI6IDI0IGJ5dGVzIG9mIGtleSEhISE="]).unwrap());
    let headers = vec![("x-tenant".to_owned(), "acme".to_owned())];
    let endpoint = Endpoint::new(exempt(EndpointConfig { credentials, headers, ..config(&url) })).unwrap();
    let first: DateTime<Utc> = "2026-11-23T12:00:00Z".parse().unwrap();
    for minutes in [0, 5] {
        let now = first + chrono::TimeDelta::minutes(minutes);
        assert_eq!(endpoint.send("ntf_1", Bytes::from_static(BODY), now).await.unwrap().status, 200);
    }
    let received = server.received();
    for (request, secs) in received.iter().zip([0, 300]) {
        assert_eq!((request.id(), request.body.as_slice()), ("ntf_1", BODY));
        assert!(request.head.starts_with("POST /hook HTTP/1.1\r\n"), "{}", request.head);
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("x-tenant"), Some("acme"));
        assert!(request.header("user-agent").unwrap().starts_with("landfall/"));
        let now_secs = first.timestamp() + secs;
        for secret in [SECRET, "whsec_b3RoZXI6IDI0IGJ5dGVzIG9mIGtleSEhISE="] {
            let verifier = webhook::Verifier::from_setting(secret).unwrap();
            let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"];
            let headers = headers.map(|name| (name, request.header(name).unwrap().as_bytes()));
            assert!(
                verifier.verify(headers, &request.body, now_secs).is_ok(),
                "by the old and the new secret"
            );
        }
    }
    assert_ne!(received[0].header("webhook-signature"), received[1].header("webhook-signature"));
}

#[tokio::test]
async fn a_token_is_sent_in_the_configured_header() {
    let server = Receiver::start(|_| Reply::ok()).await;
    let credentials = Credentials::Token { header: "X-IFTTT-Token".to_owned(), token: "hunter2".into() };
    let endpoint = Endpoint::new(exempt(EndpointConfig { credentials, ..config(&server.url()) })).unwrap();
    send(&endpoint).await.unwrap();
    let request = &server.received()[0];
    assert_eq!(request.header("x-ifttt-token"), Some("hunter2"));
    assert_eq!(request.header("webhook-signature"), None);
    assert!(!format!("{endpoint:?}").contains("hunter2"));
}

#[tokio::test]
async fn only_a_2xx_is_a_success() {
    for (status, code) in [
        ("301 Moved Permanently", 301),
        ("400 Bad Request", 400),
        ("401 Unauthorized", 401),
        ("404 Not Found", 404),
        ("429 Too Many Requests", 429),
        ("500 Internal Server Error", 500),
        ("503 Service Unavailable", 503),
    ] {
        let server = Receiver::start(move |_| Reply::status(status)).await;
        let error = send(&allowed(&server.url())).await.unwrap_err();
        assert!(error.is_retryable() && error.response().unwrap().status == code, "{}", chain(&error));
    }
    for status in ["200 OK", "202 Accepted", "204 No Content"] {
        let server = Receiver::start(move |_| Reply::status(status)).await;
        send(&allowed(&server.url())).await.unwrap();
    }
    let server = Receiver::start(|_| Reply::status("410 Gone")).await;
    let error = send(&allowed(&server.url())).await.unwrap_err();
    assert!(matches!(error, SendError::Gone { .. }) && !error.is_retryable());
}

#[tokio::test]
async fn the_retry_after_of_a_target_is_read() {
    let server = Receiver::start(|_| Reply::Answer {
        status: "503 Service Unavailable",
        headers: "retry-after: 90\r\n".to_owned(),
        body: String::new(),
    })
    .await;
    let error = send(&allowed(&server.url())).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(90)));
}

#[tokio::test]
async fn the_first_bytes_of_a_response_are_stored() {
    let body = format!("no such\tuser\n{}", "x".repeat(100_000));
    let server = Receiver::start(move |_| Reply::Answer {
        status: "500 Internal Server Error",
        headers: String::new(),
        body: body.clone(),
    })
    .await;
    let error = send(&allowed(&server.url())).await.unwrap_err();
    let head = &error.response().unwrap().head;
    assert!(head.starts_with("no such user x") && head.len() == notifier::RESPONSE_BYTES_KEPT, "{head}");
}

#[tokio::test]
async fn a_response_that_repeats_our_credentials_is_stored_without_them() {
    const TOKEN: &str = "Bearer eyJhbGciOi-hunter2-hunter2-hunter2";
    let server = Receiver::start(|request| Reply::Answer {
        status: "401 Unauthorized",
        headers: String::new(),
        // A receiver also knows the signing secret.
        body: format!("{} knows {SECRET}", request.head),
    })
    .await;
    let url = format!("{}/T000/hunter2-in-the-path?key=hunter2-in-the-query", server.url());
    let headers = vec![("x-api-key".to_owned(), "hunter2-in-a-header".to_owned())];
    let by_token = Credentials::Token { header: "authorization".to_owned(), token: TOKEN.into() };
    let by_signature = Credentials::Signature(Signer::new([SECRET]).unwrap());
    for credentials in [by_token, by_signature, Credentials::Url] {
        let signs = matches!(credentials, Credentials::Signature(_));
        let config =
            EndpointConfig { credentials, headers: headers.clone(), url_is_secret: true, ..config(&url) };
        let error = send(&Endpoint::new(exempt(config)).unwrap()).await.unwrap_err();
        let response = error.response().unwrap();
        let head = &response.head;
        assert!(head.starts_with("POST /") && head.contains("[redacted]"), "{head}");
        assert!(head.len() <= notifier::RESPONSE_BYTES_KEPT, "{head}");
        assert!(!head.contains("in-the-path") && !head.contains("in-the-query"), "{head}");
        assert!(!head.contains("in-a-header") && !head.contains("eyJhbGci"), "{head}");
        assert!(!signs || !head.contains(&SECRET[6..14]), "{head}");
        assert!(!format!("{error:?} {}", chain(&error)).contains("hunter2-in"), "{error:?}");
    }
}

#[tokio::test]
async fn truncation_leaves_no_half_of_a_credential() {
    let server = Receiver::start(|_| Reply::Answer {
        status: "401 Unauthorized",
        headers: String::new(),
        body: format!("{}eyJhbGciOi-hunter2-hunter2", "x".repeat(notifier::RESPONSE_BYTES_KEPT - 7)),
    })
    .await;
    let credentials =
        Credentials::Token { header: "authorization".to_owned(), token: "eyJhbGciOi-hunter2-hunter2".into() };
    let endpoint = Endpoint::new(exempt(EndpointConfig { credentials, ..config(&server.url()) })).unwrap();
    let error = send(&endpoint).await.unwrap_err();
    let head = &error.response().unwrap().head;
    assert!(head.ends_with("xx[redact") && !head.contains("ey"), "{head}");
}

#[tokio::test]
async fn a_target_that_stalls_or_dribbles_times_out() {
    let short = Duration::from_millis(300);
    let stalling = Receiver::start(|_| Reply::Stall).await;
    let started = Instant::now();
    let endpoint =
        |url: &str| Endpoint::new(exempt(EndpointConfig { timeout: short, ..config(url) })).unwrap();
    let error = send(&endpoint(&stalling.url())).await.unwrap_err();
    assert!(matches!(error, SendError::TimedOut(_)), "{}", chain(&error));
    // The status has arrived: that is the response, however slow the rest is.
    let dribbling = Receiver::start(|_| Reply::Dribble).await;
    assert_eq!(send(&endpoint(&dribbling.url())).await.unwrap().status, 200);
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_closed_port_is_unreachable_and_the_path_is_not_revealed() {
    let url = {
        let server = Receiver::start(|_| Reply::HangUp).await;
        let error = send(&allowed(&server.url())).await.unwrap_err();
        assert!(matches!(error, SendError::Unreachable(_)), "{}", chain(&error));
        server.url()
    };
    let endpoint = allowed(&url.replace("hook", "services/T0/very-secret"));
    let error = send(&endpoint).await.unwrap_err();
    assert!(matches!(error, SendError::Unreachable(_)) && error.is_retryable());
    assert!(!format!("{} {error:?} {endpoint:?}", chain(&error)).contains("very-secret"));
}

#[tokio::test]
async fn invalid_headers_are_refused_at_configuration_time() {
    let with = |name: &str, value: &str| {
        let headers = vec![(name.to_owned(), value.to_owned())];
        Endpoint::new(EndpointConfig { headers, ..config("https://app.example.com/") })
    };
    assert!(matches!(with("a b", "c"), Err(EndpointError::Header(_))));
    assert!(matches!(with("x", "c\nd"), Err(EndpointError::Header(_))));
    assert!(matches!(with("Webhook-Id", "c"), Err(EndpointError::OwnHeader(_))));
    assert!(with("authorization", "Bearer x").is_ok());
}
