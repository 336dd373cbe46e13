//! The worker: receives deliveries from the queue, fetches the results from OpenAI, stores them, and settles the
//! deliveries.
//!
//! Read `process.rs` first, then the files of its steps. Only `settle.rs` settles deliveries. Then read `handlers.rs`;
//! each family has one handler file.
//!
//! # Guarantees
//! * An event is acknowledged to the queue only after its effect is committed (database and files, synced).
//! * Handlers are idempotent: each may run twice for one event, or at the same time in two workers, with the same
//!   result.
//! * On SIGTERM, a worker finishes or releases its deliveries: neither an attempt nor a crash.
//!
//! # Not promised
//! * Order. Events of one object may be processed in any order; the store decides which state wins.

mod auth_failure_monitor;
mod backlog;
mod context;
mod delivery_log;
mod failure;
mod family_loop;
mod group_ack;
mod group_commit;
mod handlers;
mod job;
mod memory_limit;
mod metrics;
mod notifications;
mod outcome;
mod permits;
mod precheck;
mod process;
mod program;
mod queue_metrics;
mod readiness;
mod retry;
mod run;
mod settings;
mod settle;
mod settlement;
mod startup;
mod supervisor;
mod watchdog;

pub use notifications::{Schedule, WrongSchedule};
pub use program::main;
pub use settings::Settings;
pub use startup::run;
