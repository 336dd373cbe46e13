//! Delivers webhooks as OpenAI does: signed, retried with exponential backoff until a 2xx or a limit, always with the
//! same `webhook-id` and the time of the attempt. Redirects count as failures.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use webhook::SigningSecret;

use crate::event::{OutgoingEvent, now_secs};

const USER_AGENT: &str = "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)";
/// Maximum concurrent deliveries, including those that wait for their next attempt.
const DELIVERIES_MAX: usize = 512;

/// The receiver and the retry schedule. OpenAI's schedule is not published, except that it ends after 72 hours.
#[derive(Debug, Clone)]
pub struct SenderConfig {
    pub url: String,
    pub secret: SigningSecret,
    /// Including the first attempt.
    pub attempts_max: u32,
    /// Wait before the second attempt; doubled after each attempt.
    pub backoff_min: Duration,
    pub backoff_max: Duration,
    /// Timeout of one attempt; OpenAI waits "a few seconds".
    pub timeout: Duration,
}

impl SenderConfig {
    /// Eight attempts over about two minutes.
    pub fn new(url: &str, secret: SigningSecret) -> Self {
        Self {
            url: url.to_owned(),
            secret,
            attempts_max: 8,
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
        }
    }
}

/// How several events are delivered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pattern {
    /// First attempts per second; `None` for no limit.
    pub rate_per_sec: Option<f64>,
    /// Additional deliveries of each event, with the same `webhook-id`.
    pub duplicates: u32,
    /// Deliver in random order.
    pub shuffle: bool,
}

/// The result of one delivery.
#[derive(Debug, Clone, Serialize)]
pub struct DeliveryReport {
    pub webhook_id: String,
    pub event_type: String,
    pub delivered: bool,
    pub attempts: Vec<Attempt>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Attempt {
    /// The `webhook-timestamp`, in Unix seconds.
    pub timestamp_secs: u64,
    pub outcome: AttemptOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The receiver responded with this status.
    Status(u16),
    /// No response: refused, timed out, or disconnected.
    NoAnswer(String),
}

/// Why a sender cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("the receiver's URL is not valid")]
    Url(#[source] reqwest::Error),
    #[error("cannot create the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// Delivers to one receiver.
#[derive(Debug, Clone)]
pub struct Sender {
    config: SenderConfig,
    client: reqwest::Client,
}

impl Sender {
    /// # Errors
    /// [`SendError`] if the URL is not valid.
    pub fn new(config: SenderConfig) -> Result<Self, SendError> {
        service::install_crypto_provider();
        let client = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(config.timeout)
            .build()
            .map_err(SendError::Client)?;
        client.post(&config.url).build().map_err(SendError::Url)?;
        Ok(Self { config, client })
    }

    /// Delivers one event; returns once it is delivered or given up.
    pub async fn send(&self, event: &OutgoingEvent) -> DeliveryReport {
        let mut attempts = Vec::new();
        let mut backoff = self.config.backoff_min;
        let mut delivered = false;
        loop {
            let attempt = self.attempt(event).await;
            let outcome = attempt.outcome.clone();
            attempts.push(attempt);
            delivered |= matches!(outcome, AttemptOutcome::Status(200..300));
            let limit = u32::try_from(attempts.len()).unwrap_or(u32::MAX) >= self.config.attempts_max;
            if delivered || limit || is_final(&event.event_type, &outcome) {
                break;
            }
            tracing::info!(
                webhook.id = event.webhook_id,
                ?outcome,
                ?backoff,
                "webhook not accepted, retrying"
            );
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(self.config.backoff_max);
        }
        DeliveryReport {
            webhook_id: event.webhook_id.clone(),
            event_type: event.event_type.clone(),
            delivered,
            attempts,
        }
    }

    /// Delivers all events concurrently. Reports are in order of completion.
    pub async fn send_all(&self, events: Vec<OutgoingEvent>, pattern: Pattern) -> Vec<DeliveryReport> {
        let mut deliveries = Vec::new();
        for _ in 0..=pattern.duplicates {
            deliveries.extend(events.iter().cloned());
        }
        if pattern.shuffle {
            fastrand::shuffle(&mut deliveries);
        }
        let pace = pattern.rate_per_sec.map(|rate| Duration::from_secs_f64(1.0 / rate));
        let started = tokio::time::Instant::now();
        let paced = deliveries.into_iter().zip(0_u32..).map(|(event, number)| async move {
            if let Some(pace) = pace {
                tokio::time::sleep_until(started + pace * number).await;
            }
            self.send(&event).await
        });
        stream::iter(paced).buffer_unordered(DELIVERIES_MAX).collect().await
    }

    async fn attempt(&self, event: &OutgoingEvent) -> Attempt {
        let timestamp_secs = now_secs();
        let timestamp = timestamp_secs.to_string();
        let signature = self.config.secret.sign(&event.webhook_id, &timestamp, &event.body);
        let request = self
            .client
            .post(&self.config.url)
            .header("content-type", "application/json")
            .header(webhook::HEADER_ID, &event.webhook_id)
            .header(webhook::HEADER_TIMESTAMP, timestamp)
            .header(webhook::HEADER_SIGNATURE, signature)
            .body(event.body.clone());
        let outcome = match request.send().await {
            Ok(answer) => AttemptOutcome::Status(answer.status().as_u16()),
            Err(error) => AttemptOutcome::NoAnswer(error_text::root_cause(&error)),
        };
        Attempt { timestamp_secs, outcome }
    }
}

/// OpenAI documents only for safety events that a 410 ends the retries.
fn is_final(event_type: &str, outcome: &AttemptOutcome) -> bool {
    *outcome == AttemptOutcome::Status(410) && event_type.starts_with("safety")
}
