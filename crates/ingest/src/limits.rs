//! How much time and memory a client may use. Constants with reasons, not settings: only tests have a reason to change them.

use std::time::Duration;

/// All are generous to OpenAI, which waits "a few seconds" for an answer and sends bodies of some hundred bytes. No time is
/// below one second: actix's clock is up to half a second slow, and a limit that has passed when it is set has no effect.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the head of a connection's first request, counted from the connection's start. actix has no such limit for
    /// later requests, which is why only genuine senders may send some (`app.rs`).
    pub head: Duration,
    /// For the whole body, counted from the end of the head: a trickle must not hold a slot for ever.
    pub body: Duration,
    /// How long a genuine sender's connection may be idle between two requests.
    pub keep_alive: Duration,
    /// For the client to take the answer when the connection is being closed.
    pub disconnect: Duration,
    /// For requests that were accepted before the program was stopped.
    pub drain: Duration,
    /// How much memory bodies larger than OpenAI's may take together, in bytes: beyond it they are answered 503. With
    /// their copies on the way to Redis, and what actix holds, 64 MiB of them were 280 MiB (docs/benchmarks.md).
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
