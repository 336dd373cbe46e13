//! One webhook's way, from top to bottom: size limit, headers, timestamp, HMAC, parse, one Redis script, answer. Then why
//! it may be refused, and the one place that turns this into an HTTP status.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use queue::{EnqueueError, Enqueued, EntryRef, Producer};
use webhook::{Event, SignatureError, Verifier};

use crate::body::{self, BodyError};
use crate::crowd::Seat;
use crate::guard::{Closed, Guard};
use crate::limits::Limits;
use crate::metrics::{Metrics, Outcome};
use crate::refusal::refuse;
use crate::report::Report;
use crate::room::Room;

/// The project of webhooks that come without one in their path.
const PROJECT: &str = "default";
/// Spread, so that what was refused together does not come back together.
const RETRY_AFTER_SECS: RangeInclusive<u16> = 1..=5;

const RECEIVED: &str = r#"{"received":true}"#;
const UNAVAILABLE: &str = r#"{"error":"Queue unavailable"}"#;
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What every request needs; each thread has its own way to the queue.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) verifier: Verifier,
    pub(crate) producer: Producer,
    pub(crate) metrics: Metrics,
    pub(crate) room: Room,
    pub(crate) limits: Limits,
    pub(crate) guard: Guard,
}

impl Receiver {
    /// The same for another thread.
    pub(crate) fn apart(&self) -> Self {
        Self { producer: self.producer.apart(), ..self.clone() }
    }
}

/// `POST` on the webhook path.
pub(crate) async fn receive(
    request: HttpRequest,
    mut payload: web::Payload,
    receiver: web::Data<Receiver>,
) -> HttpResponse {
    let body;
    let mut room = receiver.room.part();
    let mut report = Report::new(PROJECT, request.headers());
    let result = match body::read(&request, &mut payload, &mut room, receiver.limits.body).await {
        Ok(bytes) => {
            body = bytes;
            let _work = request.conn_data::<Arc<Seat>>().map(|seat| seat.work(report.started()));
            accept(&receiver, &request, &body, &mut report).await
        }
        Err(error) => Err(error.into()),
    };
    let response = match &result {
        Ok(_) => HttpResponse::Ok().insert_header((header::CONTENT_TYPE, JSON)).body(RECEIVED),
        Err(error) => error.answer(payload),
    };
    report.finish(&receiver.metrics, response.status(), &result);
    response
}

async fn accept<'b>(
    receiver: &Receiver,
    request: &HttpRequest,
    body: &'b Bytes,
    report: &mut Report<'b>,
) -> Result<Enqueued, ReceiveError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
    let verified = receiver.verifier.verify(headers, body, now.as_secs().cast_signed())?;

    let known = report.verified(Event::parse(body).ok());
    let entry = EntryRef {
        webhook_id: verified.webhook_id,
        project: PROJECT,
        event_type: known.event_type(),
        timestamp_secs: verified.timestamp_secs,
        received_ms: now.as_millis().try_into().unwrap_or(i64::MAX),
        traceparent: traceparent(request),
        replay_of: None,
        body,
    };
    receiver.guard.pass()?;
    Ok(receiver.producer.enqueue(known.family(), entry).await?)
}

/// The caller's trace, when a proxy in front of us sent one (W3C Trace Context, version 00). Not signed, so only its
/// exact form is let through.
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
    #[error("no event is taken in now")]
    Closed(#[from] Closed),
    #[error("the queue did not take it")]
    Queue(#[from] EnqueueError),
}

impl ReceiveError {
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Body(BodyError::Crowded) | Self::Closed(_) | Self::Queue(_) => Outcome::Unavailable,
            Self::Body(_) | Self::Signature(_) => Outcome::Rejected,
        }
    }

    /// The reason for metrics and logs, from a closed set. The caller never hears it.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Body(BodyError::TooLarge { .. }) => "body_too_large",
            Self::Body(BodyError::Crowded) => "bodies_too_large_together",
            Self::Body(BodyError::TooSlow { .. }) => "body_too_slow",
            Self::Body(BodyError::Broken(_)) => "body_broken",
            Self::Signature(error) => error.label(),
            Self::Closed(closed) => closed.label(),
            Self::Queue(error) => error.label(),
        }
    }

    /// The HTTP answer. Never 3xx (OpenAI does not follow it) and never 410 (it would end the retries).
    fn answer(&self, unread: web::Payload) -> HttpResponse {
        match self {
            Self::Body(BodyError::TooLarge { .. }) => {
                refuse(StatusCode::PAYLOAD_TOO_LARGE, "Payload too large", unread)
            }
            Self::Body(BodyError::TooSlow { .. }) => {
                refuse(StatusCode::REQUEST_TIMEOUT, "Request timeout", unread)
            }
            Self::Body(BodyError::Broken(_)) | Self::Signature(_) => {
                refuse(StatusCode::BAD_REQUEST, "Invalid signature", unread)
            }
            Self::Body(BodyError::Crowded) => {
                let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, "Queue unavailable", unread);
                response.headers_mut().insert(header::RETRY_AFTER, retry_after());
                response
            }
            // Genuine: its connection may be used again.
            Self::Closed(_) | Self::Queue(_) => HttpResponse::ServiceUnavailable()
                .insert_header((header::RETRY_AFTER, retry_after()))
                .insert_header((header::CONTENT_TYPE, JSON))
                .body(UNAVAILABLE),
        }
    }
}

fn retry_after() -> HeaderValue {
    HeaderValue::from(fastrand::u16(RETRY_AFTER_SECS))
}

/// Any method but `POST` on the webhook path.
pub(crate) async fn wrong_method(unread: web::Payload) -> HttpResponse {
    let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", unread);
    response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("POST"));
    response
}

/// Any other path, the ones reserved for more projects included. A webhook that went astray is logged, because its
/// sender will not tell anyone.
pub(crate) async fn wrong_path(request: HttpRequest, unread: web::Payload) -> HttpResponse {
    if request.headers().contains_key(webhook::HEADER_SIGNATURE) {
        tracing::warn!(http.path = ?request.path(), http.status = 404, "a webhook came to another path than WEBHOOK_PATH");
    }
    refuse(StatusCode::NOT_FOUND, "Not found", unread)
}
