//! The public endpoint of Landfall: receives a webhook over HTTP, verifies it, enqueues it, and responds. It depends
//! only on Redis, never on the store or OpenAI.
//!
//! To follow the path of a webhook, read `app.rs`, then `receive.rs`, from top to bottom.
//!
//! # Guarantees
//! * A 2xx is sent only after Redis has the event (`tests/it/responses.rs`, `tests/it/outage.rs`).
//! * A verified body is never rejected for its content: unknown types and bodies that are not JSON are enqueued.
//! * Clients that are slow to send a head or body, or to close, are disconnected (`tests/it/slow_clients.rs`). Every
//!   response except 200 and 503 closes the connection: only genuine senders may keep one.
//! * With `INGEST_TLS_CERT`, unencrypted requests are not accepted (`tests/it/tls.rs`).
//! * Ingest is ready only while events can be enqueued (`tests/it/readiness.rs`).
//! * Accepted requests are finished on shutdown (`tests/it/shutdown.rs`).

mod admission;
mod app;
mod body;
mod connections;
mod limits;
mod presence;
mod program;
mod receive;
mod receive_error;
mod redis_watch;
mod request_log;
mod response;
mod run;
mod settings;
mod tls;

pub use limits::Limits;
pub use program::main;
pub use run::{Ingest, RunError, run, start};
pub use settings::Settings;
pub use tls::TlsError;
