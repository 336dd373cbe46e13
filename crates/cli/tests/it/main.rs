//! The real command `landfall`, run as its users run it: arguments, environment, exit codes, stdout and stderr.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod command;
mod filled;
mod ingest_double;
mod look;
mod send;
mod status;
mod verify;
