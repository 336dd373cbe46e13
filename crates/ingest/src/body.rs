//! Reads a request's body within its limits: bytes, time, and the memory that all bodies share. Without the last, anybody
//! who sends large bodies over many connections decides how much memory we need, before a signature is verified.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::sync::{Semaphore, SemaphorePermit};

/// OpenAI's bodies have some hundred bytes. This much of each body is not counted, so a small one is never refused for the
/// sake of others.
const SMALL_BODY_BYTES: usize = 16 * 1024;

/// Why there is no body to verify.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("body is over the limit of {max_bytes} bytes")]
    TooLarge { max_bytes: usize },
    #[error("too many large bodies at once")]
    Overloaded,
    #[error("body did not arrive within {} s", limit.as_secs_f32())]
    TooSlow { limit: Duration },
    /// The client left, a network on the way failed, or the connection was evicted: it may be a genuine delivery. actix
    /// tells malformed chunks no differently.
    #[error("body ended early or is malformed")]
    Broken(#[source] PayloadError),
}

/// How much memory bodies may take: each alone, and the large ones together, one permit a byte.
pub(crate) struct BodyBudget {
    max_bytes: usize,
    large_bytes: Semaphore,
}

/// A complete body. Its share of the budget is returned when it is dropped.
pub(crate) struct Body<'b> {
    pub(crate) bytes: Bytes,
    _reserved: SemaphorePermit<'b>,
}

impl BodyBudget {
    pub(crate) fn new(max_bytes: usize, large_bytes_max: usize) -> Self {
        Self { max_bytes, large_bytes: Semaphore::new(large_bytes_max.max(max_bytes)) }
    }

    /// Extends what a body has `reserved` so that it may grow to `bytes`.
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

/// Reads the raw bytes of the body. An announced length over the limit is refused before anything is read; a chunked body
/// announces none and is refused at the first byte too many.
pub(crate) async fn read<'b>(
    request: &HttpRequest,
    payload: &mut Payload,
    budget: &'b BodyBudget,
    limit: Duration,
) -> Result<Body<'b>, BodyError> {
    if announced_bytes(request).is_some_and(|bytes| bytes > budget.max_bytes as u64) {
        return Err(BodyError::TooLarge { max_bytes: budget.max_bytes });
    }
    let collecting = collect(payload, budget);
    tokio::time::timeout(limit, collecting).await.unwrap_or(Err(BodyError::TooSlow { limit }))
}

fn announced_bytes(request: &HttpRequest) -> Option<u64> {
    let length = request.headers().get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.trim().parse().ok()
}

/// Memory grows with what arrives, not with what is announced: an announcement costs a client nothing.
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
