//! Time and memory limits for clients. Constants instead of settings: only tests need to change them.

use std::time::Duration;

/// All limits are generous to OpenAI, which waits "a few seconds" for a response and sends bodies of a few hundred
/// bytes. No time limit may be below one second: the clock of actix lags by up to half a second, and a deadline that
/// has already passed has no effect.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the head of the first request, counted from the start of the connection. actix has no such limit for later
    /// requests, which is why only genuine senders may send more than one (`app.rs`).
    pub head: Duration,
    /// For the whole body, counted from the end of the head, so that slow senders cannot hold a slot.
    pub body: Duration,
    /// Idle time between two requests of a genuine sender.
    pub keep_alive: Duration,
    /// For the client to receive the response when the connection is being closed.
    pub disconnect: Duration,
    /// For requests accepted before the shutdown.
    pub drain: Duration,
    /// Memory budget, in bytes, for all bodies larger than those of OpenAI together; above it they get a 503. With
    /// their copies on the way to Redis and the buffers of actix, 64 MiB of bodies used 280 MiB (docs/benchmarks.md).
    pub large_bodies_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(5),
            body: Duration::from_secs(10),
            keep_alive: Duration::from_secs(60),
            disconnect: Duration::from_secs(2),
            drain: Duration::from_secs(30),
            large_bodies_bytes: 64 * 1024 * 1024,
        }
    }
}
