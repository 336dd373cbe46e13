//! Reads request bodies within limits: size, time, and a memory budget that all bodies share. Without the budget, an
//! unauthenticated client could make ingest allocate arbitrary memory by sending large bodies over many connections.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::sync::{Semaphore, SemaphorePermit};

/// OpenAI bodies have a few hundred bytes. This much of each body is exempt from the budget, so large bodies never
/// cause a small one to be rejected.
const SMALL_BODY_BYTES: usize = 16 * 1024;

/// Why the body cannot be verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body exceeds the limit of {max_bytes} bytes")]
    TooLarge { max_bytes: usize },
    #[error("the memory budget for large bodies is used up")]
    Overloaded,
    #[error("the body did not arrive within {} s", limit.as_secs_f32())]
    TooSlow { limit: Duration },
    /// The client disconnected, the network failed, or the connection was evicted: it may have been a genuine delivery.
    /// actix reports malformed chunks in the same way.
    #[error("the body ended early or is malformed")]
    Broken(#[source] PayloadError),
}

/// The memory limits for bodies: for each one, and for all large ones together, with one permit per byte.
pub(crate) struct BodyBudget {
    max_bytes: usize,
    large_bytes: Semaphore,
}

/// A complete body. Dropping it returns its permits to the budget.
pub(crate) struct Body<'b> {
    pub(crate) bytes: Bytes,
    _reserved: SemaphorePermit<'b>,
}

impl BodyBudget {
    pub(crate) fn new(max_bytes: usize, large_bytes_max: usize) -> Self {
        Self { max_bytes, large_bytes: Semaphore::new(large_bytes_max.max(max_bytes)) }
    }

    /// Extends the reservation of a body so that it may grow to `bytes`.
    fn reserve<'b>(&'b self, reserved: &mut SemaphorePermit<'b>, bytes: usize) -> Result<(), BodyError> {
        if bytes > self.max_bytes {
            return Err(BodyError::TooLarge { max_bytes: self.max_bytes });
        }
        let more = bytes.saturating_sub(SMALL_BODY_BYTES).saturating_sub(reserved.num_permits());
        reserved.merge(self.permits(more)?);
        Ok(())
    }

    fn permits(&self, bytes: usize) -> Result<SemaphorePermit<'_>, BodyError> {
        let bytes = u32::try_from(bytes).map_err(|_| BodyError::Overloaded)?;
        self.large_bytes.try_acquire_many(bytes).map_err(|_| BodyError::Overloaded)
    }
}

/// Reads the raw bytes of the body. A `Content-Length` above the limit is rejected before anything is read, a chunked
/// body as soon as it exceeds the limit.
pub(crate) async fn read<'b>(
    request: &HttpRequest,
    payload: &mut Payload,
    budget: &'b BodyBudget,
    limit: Duration,
) -> Result<Body<'b>, BodyError> {
    if content_length(request).is_some_and(|bytes| bytes > budget.max_bytes as u64) {
        return Err(BodyError::TooLarge { max_bytes: budget.max_bytes });
    }
    let collecting = collect(payload, budget);
    tokio::time::timeout(limit, collecting).await.unwrap_or(Err(BodyError::TooSlow { limit }))
}

fn content_length(request: &HttpRequest) -> Option<u64> {
    let length = request.headers().get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.trim().parse().ok()
}

/// Allocates as data arrives, not by `Content-Length`, which costs a client nothing.
async fn collect<'b>(payload: &mut Payload, budget: &'b BodyBudget) -> Result<Body<'b>, BodyError> {
    let mut reserved = budget.permits(0)?;
    let mut bytes = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(BodyError::Broken)?;
        budget.reserve(&mut reserved, bytes.len() + chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(Body { bytes: bytes.freeze(), _reserved: reserved })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_share_a_budget_and_small_ones_need_none() {
        let budget = BodyBudget::new(100_000, 150_000);
        let none = || budget.permits(0).unwrap();
        let (mut first, mut second, mut small) = (none(), none(), none());
        assert!(matches!(
            budget.reserve(&mut first, 100_001),
            Err(BodyError::TooLarge { max_bytes: 100_000 })
        ));
        for bytes in [10_000, 50_000, 100_000] {
            budget.reserve(&mut first, bytes).unwrap();
        }
        budget.reserve(&mut second, 60_000).unwrap();
        assert!(matches!(budget.reserve(&mut second, 100_000), Err(BodyError::Overloaded)));
        budget.reserve(&mut small, SMALL_BODY_BYTES).unwrap();
        drop(second);
        budget.reserve(&mut none(), 80_000).unwrap();
        drop(first);
        assert_eq!(budget.large_bytes.available_permits(), 150_000);
    }
}
