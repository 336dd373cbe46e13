//! The public face of Landfall: receives a webhook over HTTP, verifies it, enqueues it, answers. Thin: it depends on Redis
//! alone; it never touches the store or OpenAI.
//!
//! Read `app.rs`, then `receive.rs`, from top to bottom: the path of one webhook.
//!
//! # Guarantees
//! * 2xx is answered only after Redis has the event (`tests/it/answers.rs`, `tests/it/outage.rs`).
//! * A verified body is never refused for what it says: an unknown type, or a body that is no JSON, is kept.
//! * A client that is slow to send its head or its body, or to close, is cut off (`tests/it/slow_clients.rs`), and an answer
//!   other than 200 or 503 closes the connection: only genuine senders may keep one.
//! * With `INGEST_TLS_CERT` nothing unencrypted is accepted (`tests/it/tls.rs`).
//! * It is ready only while events can be enqueued (`tests/it/readiness.rs`).
//! * A stop finishes what was accepted (`tests/it/shutdown.rs`).

mod admission;
mod app;
mod body;
mod connections;
mod limits;
mod presence;
mod receive;
mod receive_error;
mod redis_watch;
mod request_log;
mod response;
mod run;
mod settings;
mod tls;

pub use limits::Limits;
pub use run::{Ingest, RunError, run, start};
pub use settings::Settings;
pub use tls::TlsError;
