//! Which requests are webhooks, and what all others are answered.

use std::convert::Infallible;
use std::rc::Rc;

use actix_http::header::{self, HeaderValue};
use actix_http::{HttpMessage as _, Method, Payload, Request, StatusCode};

use crate::answer::{Answer, refuse};
use crate::receive::{Receiver, receive};

/// What one of the server's threads answers with.
pub(crate) struct Route {
    pub(crate) path: String,
    pub(crate) receiver: Receiver,
}

/// Every request's way begins here.
pub(crate) async fn route(route: Rc<Route>, mut request: Request) -> Result<Answer, Infallible> {
    let payload = request.take_payload();
    Ok(if request.path() != route.path {
        wrong_path(&request, payload)
    } else if request.method() != Method::POST {
        wrong_method(payload)
    } else {
        // Boxed, so that a connection that idles has no memory for a request.
        Box::pin(receive(&route.receiver, &request, payload)).await
    })
}

/// Any method but `POST` on the webhook path.
fn wrong_method(unread: Payload) -> Answer {
    let mut answer = refuse(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", unread);
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    answer
}

/// Any other path, the ones reserved for more projects included. A webhook that went astray is logged, because its
/// sender will not tell anyone.
fn wrong_path(request: &Request, unread: Payload) -> Answer {
    if request.headers().contains_key(webhook::HEADER_SIGNATURE) {
        tracing::warn!(http.path = ?request.path(), http.status = 404, "a webhook came to another path than WEBHOOK_PATH");
    }
    refuse(StatusCode::NOT_FOUND, "Not found", unread)
}
