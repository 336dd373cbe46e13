//! What is answered. A refusal ends the connection, because whoever gets one may not be OpenAI: what is left open is an
//! invitation to hold it open, and actix limits neither the head of a later request nor a chunked body that nobody wants
//! any more (actix-http 3.20, `h1/dispatcher.rs`).

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, MessageBody};
use actix_http::header::{self, HeaderValue};
use actix_http::{ConnectionType, Payload, Response, StatusCode};
use bytes::Bytes;

pub(crate) type Answer = Response<Text>;

/// The body of an answer: JSON.
pub(crate) struct Text {
    json: Bytes,
    /// The unread rest of a refused request. While it lives, actix closes the connection after a bounded time, instead of
    /// waiting for the end of a chunked body for as long as it trickles.
    _unread: Option<Payload>,
}

impl MessageBody for Text {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.json.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let json = std::mem::take(&mut self.json);
        Poll::Ready((!json.is_empty()).then_some(Ok(json)))
    }
}

/// An answer to OpenAI, whose connection may be used again.
pub(crate) fn answer_openai(status: StatusCode, json: &'static str) -> Answer {
    with_json(status, Text { json: Bytes::from_static(json.as_bytes()), _unread: None })
}

/// `{"error": …}` with this status; `unread` is the request's payload, read or not.
pub(crate) fn refuse(status: StatusCode, error: &str, unread: Payload) -> Answer {
    let json = serde_json::json!({ "error": error }).to_string();
    let mut answer = with_json(status, Text { json: Bytes::from(json), _unread: Some(unread) });
    answer.head_mut().set_connection_type(ConnectionType::Close);
    answer
}

fn with_json(status: StatusCode, text: Text) -> Answer {
    let mut answer = Response::with_body(status, text);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
