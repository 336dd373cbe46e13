//! The worker: takes deliveries from the queue, fetches what the job produced, stores it, settles the delivery.
//!
//! Read `process.rs` first, and the steps that it names. Only `settle.rs` settles. Then `handlers.rs`, one file per family.
//!
//! # Guarantees
//! * An event is acknowledged to the queue only after its effect is committed (database and files, synced).
//! * Every handler may run twice for one event, or at the same time in two workers; the rows end the same.
//! * A worker that stops on SIGTERM finishes or hands back what it runs: neither an attempt nor a crash.
//!
//! # Not promised
//! * Order. Events of one object may be worked off in any order; the store decides which state wins.

mod auth_failure_monitor;
mod backlog;
mod context;
mod delivery_log;
mod failure;
mod family_loop;
mod handlers;
mod job;
mod memory_limit;
mod metrics;
mod notifications;
mod outcome;
mod permits;
mod precheck;
mod process;
mod queue_metrics;
mod readiness;
mod results_link;
mod results_server;
mod retry;
mod run;
mod settings;
mod settle;
mod settlement;
mod startup;
mod supervisor;
mod watchdog;

pub use notifications::{Schedule, WrongSchedule};
pub use settings::Settings;
pub use startup::run;
