//! Checks of an installation that need nothing but its Redis and its database: `landfall doctor` and the console's page of
//! health run them. Each check has a file.

pub mod clock;
pub mod database;
mod finding;
pub mod outcomes;
pub mod programs;
pub mod redis;
pub mod targets;

pub use finding::{Check, Finding, State};

/// How far a check may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Only reads.
    Read,
    /// Also does what ingest and workers do, and undoes it.
    Write,
}
