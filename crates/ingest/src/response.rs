//! The two kinds of HTTP responses. A refusal closes the connection, because its sender may not be OpenAI: actix limits
//! neither the time for the head of a later request nor an unread chunked body (actix-http 3.20, `h1/dispatcher.rs`).

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Payload;
use actix_web::http::{ConnectionType, StatusCode, header};
use bytes::Bytes;

/// A response to OpenAI, whose connection may be reused.
pub(crate) fn respond(status: StatusCode, json: &'static str) -> HttpResponse {
    HttpResponse::build(status).content_type(header::ContentType::json()).body(json)
}

/// `{"error": …}` with this status. Closes the connection; `unread` is the payload of the request, read or not.
pub(crate) fn refuse(status: StatusCode, error: &str, unread: Payload) -> HttpResponse {
    let json = serde_json::json!({ "error": error }).to_string().into();
    let mut response = HttpResponse::build(status)
        .content_type(header::ContentType::json())
        .body(BoxBody::new(RefusalBody { json, _unread: unread }));
    response.head_mut().set_connection_type(ConnectionType::Close);
    response
}

/// The body of a refusal.
struct RefusalBody {
    json: Bytes,
    /// Until this is dropped, actix closes the connection after `client_disconnect_timeout` instead of waiting for the
    /// end of a chunked body, however slow it is.
    _unread: Payload,
}

impl MessageBody for RefusalBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.json.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let json = std::mem::take(&mut self.json);
        Poll::Ready((!json.is_empty()).then_some(Ok(json)))
    }
}
