//! Ingest over real sockets and a real Redis, one file per promise.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod answers;
mod connections;
mod harness;
mod heads;
mod kept;
mod limits;
mod outage;
mod program;
mod readiness;
mod shutdown;
mod slow_clients;
mod tls;
mod unfit_redis;
