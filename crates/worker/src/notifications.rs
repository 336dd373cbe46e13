//! Notifies the user's systems of stored results. `outbox.rs` writes notifications together with the result;
//! `dispatcher.rs` sends them, separately for each target, so that a target that fails or stalls delays no other.
//! `early.rs` sends those of calls before they are written.

mod attempt;
mod dispatcher;
mod early;
mod outbox;
mod schedule;
mod targets;
mod targets_file;

pub(crate) use early::EarlySender;
pub(crate) use outbox::{Outbox, Trigger};
pub(crate) use schedule::Timing;
pub use schedule::{Schedule, WrongSchedule};
pub(crate) use targets::Targets;
pub(crate) use targets_file::TargetsFile;
