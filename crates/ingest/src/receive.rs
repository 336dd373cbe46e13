//! One webhook's way, from top to bottom: size limit, headers, timestamp, HMAC, parse, one Redis script, answer. Then why
//! it may be refused, and the one place that turns this into an HTTP status.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use actix_http::header::{self, HeaderValue};
use actix_http::{HttpMessage as _, Payload, Request, StatusCode};
use bytes::Bytes;
use queue::{EnqueueError, Enqueued, EntryRef, Producer};
use webhook::{Event, SignatureError, Verifier};

use crate::answer::{Answer, answer_openai, refuse};
use crate::body::{self, BodyError};
use crate::crowd::Seat;
use crate::guard::{Closed, Guard};
use crate::limits::Limits;
use crate::metrics::{Metrics, Outcome};
use crate::report::Report;
use crate::room::Room;

/// The project of webhooks that come without one in their path.
const PROJECT: &str = "default";
/// Spread, so that what was refused together does not come back together.
const RETRY_AFTER_SECS: RangeInclusive<u16> = 1..=5;

const RECEIVED: &str = r#"{"received":true}"#;
const UNAVAILABLE: &str = r#"{"error":"Queue unavailable"}"#;

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
pub(crate) async fn receive(receiver: &Receiver, request: &Request, mut payload: Payload) -> Answer {
    let body;
    let seat = request.conn_data::<Arc<Seat>>().expect("a connection gets its seat when it is made");
    let mut room = receiver.room.part();
    let mut report = Report::new(PROJECT, request.headers());
    let result = match body::read(request, &mut payload, &mut room, seat, receiver.limits.body).await {
        Ok(bytes) => {
            body = bytes;
            let _work = seat.work(report.started());
            accept(receiver, request, &body, &mut report).await
        }
        Err(error) => Err(error.into()),
    };
    let answer = match &result {
        Ok(_) => answer_openai(StatusCode::OK, RECEIVED),
        Err(error) => error.answer(payload),
    };
    report.finish(&receiver.metrics, answer.status(), &result);
    answer
}

async fn accept<'b>(
    receiver: &Receiver,
    request: &Request,
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
fn traceparent(request: &Request) -> Option<&str> {
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
    fn answer(&self, unread: Payload) -> Answer {
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
                later(refuse(StatusCode::SERVICE_UNAVAILABLE, "Queue unavailable", unread))
            }
            // Genuine: its connection may be used again.
            Self::Closed(_) | Self::Queue(_) => {
                later(answer_openai(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE))
            }
        }
    }
}

fn later(mut answer: Answer) -> Answer {
    let secs = HeaderValue::from(fastrand::u16(RETRY_AFTER_SECS));
    answer.headers_mut().insert(header::RETRY_AFTER, secs);
    answer
}
