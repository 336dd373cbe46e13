//! The reasons for rejecting a webhook, and their mapping to HTTP statuses.

use std::ops::RangeInclusive;

use actix_web::HttpResponse;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use queue::EnqueueError;
use webhook::SignatureError;

use crate::admission::NotAdmitting;
use crate::body::BodyError;
use crate::response::{refuse, respond};

/// Random, so that webhooks rejected together are not all retried at the same time.
const RETRY_AFTER_SECS: RangeInclusive<u16> = 1..=5;

const UNAVAILABLE: &str = r#"{"error":"Queue unavailable"}"#;

/// Why a request does not get a 200.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    #[error("rejected the body")]
    Body(#[from] BodyError),
    #[error("verification failed")]
    Signature(#[from] SignatureError),
    #[error("not accepting events")]
    NotAdmitting(#[from] NotAdmitting),
    #[error("cannot enqueue the event")]
    Queue(#[from] EnqueueError),
}

impl ReceiveError {
    /// The reason, from a closed set, for metrics and logs. Never sent to the client.
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

    /// The HTTP response. Never a 3xx (OpenAI does not follow redirects) and never a 410 (which would end the retries).
    pub(crate) fn response(&self, unread: Payload) -> HttpResponse {
        let (status, error) = match self {
            Self::Body(BodyError::TooLarge { .. }) => (StatusCode::PAYLOAD_TOO_LARGE, "Payload too large"),
            Self::Body(BodyError::TooSlow { .. }) => (StatusCode::REQUEST_TIMEOUT, "Request timeout"),
            Self::Signature(_) => (StatusCode::BAD_REQUEST, "Invalid signature"),
            Self::Body(BodyError::Overloaded | BodyError::Broken(_)) => {
                return retry_later(refuse(StatusCode::SERVICE_UNAVAILABLE, "Queue unavailable", unread));
            }
            // The sender is genuine, so its connection may be reused.
            Self::NotAdmitting(_) | Self::Queue(_) => {
                return retry_later(respond(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE));
            }
        };
        refuse(status, error, unread)
    }
}

fn retry_later(mut response: HttpResponse) -> HttpResponse {
    let secs = HeaderValue::from(fastrand::u16(RETRY_AFTER_SECS));
    response.headers_mut().insert(header::RETRY_AFTER, secs);
    response
}
