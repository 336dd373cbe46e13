//! Ingest over real sockets and a real Redis, one file per guarantee.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod connections;
mod harness;
mod heads;
mod limits;
mod outage;
mod program;
mod queue_entries;
mod readiness;
mod redis_preflight;
mod responses;
mod shutdown;
mod slow_clients;
mod tls;
