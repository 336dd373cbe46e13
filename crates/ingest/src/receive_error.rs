//! The reasons to refuse a webhook, and the one place that maps them to an HTTP status.

use std::ops::RangeInclusive;

use actix_web::HttpResponse;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use queue::EnqueueError;
use webhook::SignatureError;

use crate::admission::NotAdmitting;
use crate::body::BodyError;
use crate::response::{answer, refuse};

/// Random, so that webhooks refused together are not delivered again together.
const RETRY_AFTER_SECS: RangeInclusive<u16> = 1..=5;

const UNAVAILABLE: &str = r#"{"error":"Queue unavailable"}"#;

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
    pub(crate) fn response(&self, unread: Payload) -> HttpResponse {
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
