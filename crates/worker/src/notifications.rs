//! Tells the user's own systems what was stored. `outbox.rs` writes what is to be told together with the result;
//! `dispatcher.rs` sends it, each target on its own, so that one that fails or stalls delays no other.

mod attempt;
mod dispatcher;
mod outbox;
mod schedule;
mod targets;
mod targets_file;

pub(crate) use outbox::{Outbox, Trigger};
pub(crate) use schedule::Timing;
pub use schedule::{Schedule, WrongSchedule};
pub(crate) use targets::Targets;
pub(crate) use targets_file::TargetsFile;
