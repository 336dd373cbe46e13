//! End to end: the real programs as processes, real sockets, a real Redis, SQLite; OpenAI alone is a look-alike.
//! One file per promise. The programs must be built first; `scripts/test` does that.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod demo;
mod duplicates;
mod every_family;
mod fetch_off;
mod forgeries;
mod harness;
mod odd_answers;
mod redis_outage;
mod repair;
mod settings;
mod shutdown;
mod two_workers;
mod unknown_events;
mod worker_crash;
