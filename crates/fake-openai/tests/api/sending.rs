//! Webhooks as OpenAI sends them, checked by Landfall's verifier.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fake_openai::{
    AttemptOutcome, FakeConfig, FakeOpenAi, OutgoingEvent, Pattern, Payload, Sender, SenderConfig,
};
use serde_json::{Value, json};
use test_support::signed_webhook::{SECRET, now_secs};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use webhook::{SigningSecret, Verifier};

use crate::client::http;

/// A request that the receiver got.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// A receiver that sends these responses in order, and repeats the last one.
pub(crate) struct Receiver {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    pub(crate) async fn answering(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/openai/webhook", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&received);
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let request = read_request(&mut socket).await;
                let answer = {
                    let mut log = log.lock().unwrap();
                    log.push(request);
                    answers[(log.len() - 1).min(answers.len() - 1)]
                };
                let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, received }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    fn sender(&self) -> Sender {
        let mut config = SenderConfig::new(&self.url, SigningSecret::parse(SECRET).unwrap());
        config.attempts_max = 4;
        config.backoff_min = Duration::from_millis(5);
        Sender::new(config).unwrap()
    }
}

async fn read_request(socket: &mut TcpStream) -> Received {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
            let headers: BTreeMap<String, String> =
                lines.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
            let length: usize = headers["content-length"].parse().unwrap();
            while bytes.len() < end + 4 + length {
                socket.read_buf(&mut bytes).await.unwrap();
            }
            let body = bytes[end + 4..].to_vec();
            return Received { headers, body };
        }
        socket.read_buf(&mut bytes).await.unwrap();
    }
}

/// Panics unless the signature is valid.
pub(crate) fn verify(request: &Received) {
    let verifier = Verifier::from_setting(SECRET).unwrap();
    let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    verifier.verify(headers, &request.body, now_secs()).unwrap();
}

#[tokio::test]
async fn a_webhook_looks_like_openais_and_verifies() {
    let receiver = Receiver::answering(&["200 OK"]).await;
    let event = OutgoingEvent::thin("response.completed", Some("resp_1"));
    let report = receiver.sender().send(&event).await;
    assert!(report.delivered && report.attempts.len() == 1);
    let received = receiver.received();
    verify(&received[0]);
    assert_eq!(received[0].headers["user-agent"], "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)");
    assert_eq!(received[0].headers["content-type"], "application/json");
    assert!(received[0].headers["webhook-id"].starts_with("wh_"));
    let body: Value = serde_json::from_slice(&received[0].body).unwrap();
    assert_eq!(body["data"], json!({"id": "resp_1"}));
    assert!(received[0].body.len() < 250, "thin: {body}");
}

#[tokio::test]
async fn retries_keep_the_webhook_id_and_the_body_and_refresh_the_timestamp() {
    let receiver = Receiver::answering(&["500 Oh", "400 Bad", "200 OK"]).await;
    let mut config = SenderConfig::new(&receiver.url, SigningSecret::parse(SECRET).unwrap());
    // More than a second, so that the new timestamp differs.
    config.backoff_min = Duration::from_millis(1100);
    config.backoff_max = Duration::from_millis(1100);
    let event = OutgoingEvent::thin("batch.completed", None);
    let report = Sender::new(config).unwrap().send(&event).await;
    assert!(report.delivered);
    let received = receiver.received();
    assert_eq!(received.len(), 3);
    let timestamps: Vec<u64> =
        received.iter().map(|request| request.headers["webhook-timestamp"].parse().unwrap()).collect();
    assert!(timestamps.is_sorted_by(|a, b| a < b), "{timestamps:?}");
    for request in &received {
        verify(request);
        assert_eq!(request.headers["webhook-id"], event.webhook_id);
        assert_eq!(request.body, event.body);
    }
    let reported: Vec<u64> = report.attempts.iter().map(|attempt| attempt.timestamp_secs).collect();
    assert_eq!(reported, timestamps);
}

#[tokio::test]
async fn it_gives_up_at_the_limit_and_a_redirect_is_a_failure() {
    let receiver = Receiver::answering(&["302 Found\r\nlocation: /elsewhere"]).await;
    let event = OutgoingEvent::thin("batch.failed", None);
    let report = receiver.sender().send(&event).await;
    assert!(!report.delivered);
    let outcomes: Vec<_> = report.attempts.into_iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, vec![AttemptOutcome::Status(302); 4]);
    assert_eq!(receiver.received().len(), 4, "the redirect is not followed");
}

#[tokio::test]
async fn a_410_ends_the_attempts_for_safety_events_only() {
    for (event_type, attempts) in [("safety.alert.created", 1), ("batch.failed", 4)] {
        let receiver = Receiver::answering(&["410 Gone"]).await;
        let event = OutgoingEvent::thin(event_type, None);
        let report = receiver.sender().send(&event).await;
        assert_eq!(report.attempts.len(), attempts, "{event_type}");
    }
}

#[tokio::test]
async fn an_unreachable_receiver_is_retried() {
    // The port is bound, so that no other test gets it, but nothing listens.
    let unreachable = TcpSocket::new_v4().unwrap();
    unreachable.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", unreachable.local_addr().unwrap());
    let mut config = SenderConfig::new(&url, SigningSecret::parse(SECRET).unwrap());
    config.attempts_max = 2;
    config.backoff_min = Duration::from_millis(1);
    let event = OutgoingEvent::thin("batch.failed", None);
    let report = Sender::new(config).unwrap().send(&event).await;
    assert_eq!(report.attempts.len(), 2);
    assert!(matches!(report.attempts[0].outcome, AttemptOutcome::NoAnswer(_)));
}

#[tokio::test]
async fn many_events_are_repeated_shuffled_and_paced() {
    let receiver = Receiver::answering(&["200 OK"]).await;
    let events: Vec<_> = (0..25)
        .map(|number| OutgoingEvent::thin("response.completed", Some(&format!("resp_{number}"))))
        .collect();
    let pattern = Pattern { duplicates: 1, shuffle: true, rate_per_sec: Some(200.0) };
    let started = std::time::Instant::now();
    let reports = receiver.sender().send_all(events.clone(), pattern).await;
    assert!(started.elapsed() >= Duration::from_millis(49 * 5));
    assert_eq!(reports.len(), 50);
    let sent: Vec<_> = events.iter().map(|event| event.webhook_id.clone()).collect();
    let arrived: Vec<_> =
        receiver.received().iter().map(|request| request.headers["webhook-id"].clone()).collect();
    for webhook_id in &sent {
        assert_eq!(arrived.iter().filter(|id| *id == webhook_id).count(), 2);
    }
    assert_ne!(arrived[..25], sent[..], "fifty deliveries in order by chance");
}

#[tokio::test]
async fn an_event_can_embed_the_whole_object() {
    let fake = FakeOpenAi::start(FakeConfig::default()).await.unwrap();
    let event = fake.event("response.completed", None, Payload::Embedded).unwrap();
    let body: Value = serde_json::from_slice(&event.body).unwrap();
    assert_eq!(
        (&body["data"]["id"], &body["data"]["status"]),
        (&json!("resp_demo_research"), &json!("completed"))
    );
    assert!(fake.event("response.completed", Some("resp_x"), Payload::Embedded).is_none());
}

#[tokio::test]
async fn the_control_endpoint_sends_and_reports() {
    let receiver = Receiver::answering(&["503 Busy", "200 OK"]).await;
    let config =
        FakeConfig { webhook_secret: Some(SigningSecret::parse(SECRET).unwrap()), ..FakeConfig::default() };
    let fake = FakeOpenAi::start(config).await.unwrap();
    let order =
        json!({"url": receiver.url, "type": "batch.expired", "webhook_id": "wh_again", "embed": true});
    let url = format!("{}/send", fake.control_url());
    let answer = http().post(url).json(&order).send().await.unwrap();
    let reports: Value = answer.json().await.unwrap();
    assert_eq!((&reports[0]["delivered"], &reports[0]["webhook_id"]), (&json!(true), &json!("wh_again")));
    assert_eq!(reports[0]["attempts"][0]["outcome"], json!({"status": 503}));
    let received = receiver.received();
    verify(&received[1]);
    let body: Value = serde_json::from_slice(&received[1].body).unwrap();
    assert_eq!(body["data"]["status"], "expired");
}
