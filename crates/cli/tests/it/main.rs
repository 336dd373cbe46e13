//! The real command `landfall`, run as its users run it: arguments, environment, exit codes, stdout and stderr.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod command;
mod ingest_double;
mod send;
mod verify;
