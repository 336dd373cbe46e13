//! Reads a request's body within its limits: bytes and time.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_http::error::PayloadError;
use actix_http::{HttpMessage as _, Payload, Request, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

use crate::crowd::Seat;
use crate::room::{NoRoom, Part};

/// Why there is no body to verify.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("body is over the limit of {max_bytes} bytes")]
    TooLarge { max_bytes: usize },
    #[error("too many large bodies at once")]
    Crowded,
    #[error("body did not arrive within {} s", limit.as_secs_f32())]
    TooSlow { limit: Duration },
    #[error("body ended early or is malformed")]
    Broken(#[source] PayloadError),
}

/// The raw bytes of the body. An announced length over the limit is refused before anything is read; a chunked body
/// announces none and is refused at the first byte too many.
///
/// # Errors
/// [`BodyError`] names the limit that was passed.
pub(crate) async fn read(
    request: &Request,
    payload: &mut Payload,
    room: &mut Part<'_>,
    seat: &Seat,
    limit: Duration,
) -> Result<Bytes, BodyError> {
    if let Some(bytes) = announced_bytes(request) {
        room.allows(bytes)?;
    }
    let mut collecting = std::pin::pin!(collect(payload, room));
    // Nearly all bodies have come with their head, and are here at the second look, for which actix comes back as soon
    // as it has read on. So the first look wakes nobody, and only what is not here at the second needs a clock.
    if let Poll::Ready(result) = collecting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return result;
    }
    seat.look_again().await;
    if let Poll::Ready(result) = futures_util::poll!(&mut collecting) {
        return result;
    }
    match tokio::time::timeout(limit, collecting).await {
        Ok(result) => result,
        Err(_) => Err(BodyError::TooSlow { limit }),
    }
}

fn announced_bytes(request: &Request) -> Option<u64> {
    let length = request.headers().get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.trim().parse().ok()
}

impl From<NoRoom> for BodyError {
    fn from(no_room: NoRoom) -> Self {
        match no_room {
            NoRoom::EverLarger { max_bytes } => Self::TooLarge { max_bytes },
            NoRoom::BesideOthers => Self::Crowded,
        }
    }
}

async fn collect(payload: &mut Payload, room: &mut Part<'_>) -> Result<Bytes, BodyError> {
    let mut body = Bytes::new();
    // Grows with what arrives, not with what is announced: an announcement costs a client nothing.
    let mut rest = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(BodyError::Broken)?;
        room.grow_to(body.len() + rest.len() + chunk.len())?;
        if body.is_empty() && rest.is_empty() {
            // Nearly always the only one, and taken as it is.
            body = chunk;
        } else {
            if rest.is_empty() {
                rest = std::mem::take(&mut body).into();
            }
            rest.extend_from_slice(&chunk);
        }
    }
    Ok(if rest.is_empty() { body } else { rest.freeze() })
}
