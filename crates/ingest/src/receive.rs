//! The path of one webhook, from top to bottom: size limit, headers, timestamp, HMAC, parse, one Redis script, answer. Then
//! the reasons to refuse it, and the one place that maps them to an HTTP status.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use queue::{EnqueueError, Enqueued, EntryRef, Producer};
use service::telemetry::chain;
use webhook::{Event, SignatureError, Verifier};

use crate::admission::{AdmissionGate, NotAdmitting};
use crate::app::{answer, refuse};
use crate::body::{self, BodyBudget, BodyError};
use crate::connections::ConnectionHandle;
use crate::limits::Limits;
use crate::request_log::{Metrics, RequestLog};

/// The project of webhooks whose path names none.
const PROJECT: &str = "default";
/// Random, so that webhooks refused together are not delivered again together.
const RETRY_AFTER_SECS: RangeInclusive<u16> = 1..=5;

const RECEIVED: &str = r#"{"received":true}"#;
const UNAVAILABLE: &str = r#"{"error":"Queue unavailable"}"#;

#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) webhook_path: String,
    pub(crate) verifier: Verifier,
    pub(crate) producer: Producer,
    pub(crate) metrics: Metrics,
    pub(crate) body_budget: Arc<BodyBudget>,
    pub(crate) limits: Limits,
    pub(crate) gate: AdmissionGate,
}

impl Receiver {
    /// The same with connections to Redis of its own, for another thread.
    pub(crate) fn for_thread(&self) -> Self {
        Self { producer: self.producer.for_thread(), ..self.clone() }
    }
}

pub(crate) async fn receive(
    receiver: &Receiver,
    request: &HttpRequest,
    mut payload: Payload,
) -> HttpResponse {
    let body;
    let mut log = RequestLog::new(PROJECT, request.headers());
    let result = match body::read(request, &mut payload, &receiver.body_budget, receiver.limits.body).await {
        Ok(read) => {
            body = read;
            let _active = request.conn_data().and_then(ConnectionHandle::activate);
            accept(receiver, request, &body.bytes, &mut log).await
        }
        Err(error) => Err(error.into()),
    };
    let response = match &result {
        Ok(_) => answer(StatusCode::OK, RECEIVED),
        Err(error) => error.response(payload),
    };
    log.finish(&receiver.metrics, response.status(), &result);
    response
}

async fn accept<'b>(
    receiver: &Receiver,
    request: &HttpRequest,
    body: &'b Bytes,
    log: &mut RequestLog<'b>,
) -> Result<Enqueued, ReceiveError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
    let verified = receiver.verifier.verify(headers, body, now.as_secs().cast_signed())?;

    log.verified(Event::parse(body).ok());
    let entry = EntryRef {
        webhook_id: verified.webhook_id,
        project: PROJECT,
        event_type: log.event_type(),
        timestamp_secs: verified.timestamp_secs,
        received_ms: now.as_millis().try_into().unwrap_or(i64::MAX),
        traceparent: traceparent(request),
        replay_of: None,
        body,
    };
    receiver.gate.admit()?;
    let enqueued = receiver.producer.enqueue(log.family(), entry).await;
    if let Some(error) = enqueued.as_ref().err().filter(|error| error.concerns_all_events()) {
        receiver.gate.tried(Err(chain(error)));
    }
    Ok(enqueued?)
}

/// The caller's trace, when a proxy in front of us sent one (W3C Trace Context, version 00). It is not signed, so only the
/// exact form is accepted.
fn traceparent(request: &HttpRequest) -> Option<&str> {
    let text = request.headers().get("traceparent")?.to_str().ok()?;
    let mut lengths = [2, 32, 16, 2].into_iter();
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let well_formed =
        text.split('-').all(|part| Some(part.len()) == lengths.next() && part.bytes().all(lower_hex));
    (well_formed && lengths.next().is_none() && text.starts_with("00-")).then_some(text)
}

/// Why a request is not answered 200.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    #[error("the body was refused")]
    Body(#[from] BodyError),
    #[error("not a genuine webhook")]
    Signature(#[from] SignatureError),
    #[error("no event is accepted now")]
    NotAdmitting(#[from] NotAdmitting),
    #[error("the event could not be enqueued")]
    Queue(#[from] EnqueueError),
}

impl ReceiveError {
    /// The reason for metrics and logs, from a closed set. Never shown to the caller.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Body(BodyError::TooLarge { .. }) => "body_too_large",
            Self::Body(BodyError::Overloaded) => "bodies_too_large_together",
            Self::Body(BodyError::TooSlow { .. }) => "body_too_slow",
            Self::Body(BodyError::Broken(_)) => "body_broken",
            Self::Signature(error) => error.label(),
            Self::NotAdmitting(error) => error.label(),
            Self::Queue(error) => error.label(),
        }
    }

    /// The HTTP answer. Never 3xx (OpenAI does not follow it) and never 410 (it would end the retries).
    fn response(&self, unread: Payload) -> HttpResponse {
        let (status, error) = match self {
            Self::Body(BodyError::TooLarge { .. }) => (StatusCode::PAYLOAD_TOO_LARGE, "Payload too large"),
            Self::Body(BodyError::TooSlow { .. }) => (StatusCode::REQUEST_TIMEOUT, "Request timeout"),
            Self::Signature(_) => (StatusCode::BAD_REQUEST, "Invalid signature"),
            Self::Body(BodyError::Overloaded | BodyError::Broken(_)) => {
                return later(refuse(StatusCode::SERVICE_UNAVAILABLE, "Queue unavailable", unread));
            }
            // Genuine: its connection may be used again.
            Self::NotAdmitting(_) | Self::Queue(_) => {
                return later(answer(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE));
            }
        };
        refuse(status, error, unread)
    }
}

fn later(mut response: HttpResponse) -> HttpResponse {
    let secs = HeaderValue::from(fastrand::u16(RETRY_AFTER_SECS));
    response.headers_mut().insert(header::RETRY_AFTER, secs);
    response
}
