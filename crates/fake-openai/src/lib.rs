//! A fake of the parts of the OpenAI API that Landfall reads: the same objects, lists, headers and errors, with fault
//! injection and signed webhooks. It also creates background responses, batches and files, so that an app can be
//! developed against it. Tests run it in-process on a free port; the binary lets you try Landfall without an account.
//! `tests/api/schemas.rs` checks it against OpenAI's schemas.
//!
//! It opens no outgoing connections, except [`Sender`] to the configured receiver.

mod api_error;
mod config;
mod content;
mod control;
mod creation;
mod endpoints;
mod event;
mod fault_injection;
mod faults;
mod fixtures;
mod flags;
mod generated_lines;
mod http_response;
mod kind;
mod page;
mod program;
mod query;
mod ranges;
mod request_log;
mod scripted_body;
mod sender;
mod server;
mod state;

pub use config::FakeConfig;
pub use event::{OutgoingEvent, Payload};
pub use faults::{ContentCoding, Fault, FaultKind};
pub use fixtures::{PutError, demo_object_id};
pub use generated_lines::LINE_BYTES_DEFAULT;
pub use kind::Kind;
pub use program::main;
pub use request_log::RecordedRequest;
pub use sender::{Attempt, AttemptOutcome, DeliveryReport, Pattern, SendError, Sender, SenderConfig};
pub use server::{FakeOpenAi, StartError};
