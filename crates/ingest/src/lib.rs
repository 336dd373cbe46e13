//! The public face of Landfall: takes a webhook over HTTP, verifies it, puts it into the queue, answers. Thin: its one
//! dependency is Redis; it never touches the store or OpenAI.
//!
//! Read `route.rs`, then `receive.rs`, from top to bottom: one webhook's way.
//!
//! # Guarantees
//! * 2xx is answered only after Redis has the event (`tests/it/answers.rs`, `tests/it/outage.rs`).
//! * A verified body is never refused for what it says: an unknown type, or a body that is no JSON, is kept.
//! * A client that is slow at its head, its body or its leaving is cut off (`tests/it/slow_clients.rs`), and whoever is
//!   not answered 200 or 503 loses the connection: only genuine senders may keep one.
//! * With `INGEST_TLS_CERT` nothing is taken that is not encrypted (`tests/it/tls.rs`).
//! * A stop finishes what was accepted (`tests/it/shutdown.rs`).

mod answer;
mod app;
mod body;
mod connection;
mod crowd;
mod descriptors;
mod groups;
mod guard;
mod limits;
mod listener;
mod metrics;
mod receive;
mod report;
mod room;
mod route;
mod run;
mod scheduling;
mod settings;
mod tls;

pub use limits::Limits;
pub use run::{Ingest, RunError, run, start};
pub use settings::Settings;
pub use tls::TlsError;
