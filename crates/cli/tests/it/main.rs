//! The real command `landfall`, run as its users run it: arguments, environment, exit codes, stdout and stderr.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod api_double;
mod command;
mod dead;
mod described;
mod doctor;
mod filled;
mod ingest_double;
mod look;
mod move_rows;
mod repair;
mod secret_install;
mod send;
mod status;
mod tail;
mod verify;
