//! Helpers shared by the tests of several crates: disposable servers, the project's programs as processes, signed webhooks,
//! and waiting for a condition. Never part of a release.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

pub mod network;
pub mod pgbouncer;
pub mod postgres;
pub mod programs;
pub mod receiver;
pub mod redis;
pub mod s3;
pub mod signed_webhook;
pub mod wait;
