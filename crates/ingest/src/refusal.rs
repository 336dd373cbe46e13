//! An answer to somebody who may not be OpenAI. It ends the connection: what is left open is an invitation to hold it
//! open, because actix limits neither the head of a later request nor a chunked body that nobody wants any more
//! (actix-http 3.20, `h1/dispatcher.rs`).

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::{StatusCode, header};
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpResponse, HttpResponseBuilder};

/// The body of a refusal. It keeps the unread rest of the request alive until it is sent: actix then closes the
/// connection after a bounded time, instead of waiting for the end of a chunked body for as long as it trickles.
struct Refusal {
    text: Bytes,
    _unread: Payload,
}

impl MessageBody for Refusal {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.text.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let text = std::mem::take(&mut self.text);
        Poll::Ready((!text.is_empty()).then_some(Ok(text)))
    }
}

/// `{"error": …}` with this status; `unread` is the request's payload, read or not.
pub(crate) fn refuse(status: StatusCode, error: &str, unread: Payload) -> HttpResponse {
    let text = serde_json::json!({ "error": error }).to_string();
    HttpResponseBuilder::new(status)
        .insert_header(header::ContentType::json())
        .force_close()
        .body(Refusal { text: Bytes::from(text), _unread: unread })
}
