//! The path of a webhook, from top to bottom: size limit, headers, timestamp, HMAC, parse, one Redis script, response.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use error_text::chain;
use queue::{Enqueued, EntryRef, Producer};
use webhook::{Event, Verifier};

use crate::admission::AdmissionGate;
use crate::body::{self, BodyBudget};
use crate::connections::ConnectionHandle;
use crate::limits::Limits;
use crate::receive_error::ReceiveError;
use crate::request_log::{Metrics, RequestLog};
use crate::response::respond;

/// The project of webhooks without a project in their path.
const PROJECT: &str = "default";

const RECEIVED: &str = r#"{"received":true}"#;

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
    /// A copy with separate Redis connections, for another thread.
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
        Ok(_) => respond(StatusCode::OK, RECEIVED),
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
        receiver.gate.record_enqueue(Err(chain(error)));
    }
    Ok(enqueued?)
}

/// The trace context of the caller, if a proxy in front of ingest sent one (W3C Trace Context, version 00). It is
/// unsigned, so only the exact format is accepted.
fn traceparent(request: &HttpRequest) -> Option<&str> {
    let text = request.headers().get("traceparent")?.to_str().ok()?;
    let mut lengths = [2, 32, 16, 2].into_iter();
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let well_formed =
        text.split('-').all(|part| Some(part.len()) == lengths.next() && part.bytes().all(lower_hex));
    (well_formed && lengths.next().is_none() && text.starts_with("00-")).then_some(text)
}
