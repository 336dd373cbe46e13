//! Everything Redis. `ingest` writes each event once into the stream of its family ([`Producer`]); workers take
//! [`Delivery`]s out of it ([`Consumer`]), each under a lease, and settle them. Redis's clock is the only one.
//!
//! What an entry goes through, and where it lies meanwhile (names in [`Keys`]):
//!
//! ```text
//! enqueue ─▶ undelivered ─▶ pending, under a lease ─▶ ack: deleted
//!            (stream)       (stream + group)  │ │ └──▶ dead letter (another stream), with reason and errors
//!                               ▲     ▲       │ └────▶ lease ran out: reclaimed by any worker, one crash more
//!                               │     └───────│─────── (heartbeat renews it)
//!                               └─ delayed ◀──┘ retry (an attempt), snooze, hand-back (neither)
//!                                  (stream + sorted set)
//! ```
//!
//! Guarantees, each with the test that proves it (`tests/it`):
//! * An event is enqueued once per `webhook-id` within the dedupe window (`dedupe.rs`); when `enqueue` returns `Ok`, Redis
//!   has it, and a Redis that is killed and comes back still has it (`outage.rs`).
//! * An entry is in exactly one place: `XLEN = undelivered + pending + delayed` after every step (`model.rs`).
//! * An acknowledged event is delivered at least once: a dead worker's deliveries are taken over when their leases run
//!   out (`leases.rs`), a reply lost on the way is read again (`recovery.rs`), an emptied or deleted group is recreated
//!   at 0 (`recovery.rs`).
//! * What is damaged by hand is mended: entries stranded by `XACK` or `XGROUP DELCONSUMER` are due again within half a
//!   minute, and counted (`repair.rs`). A dead letter comes back as a new entry, in one step (`redrive.rs`). A wait for a
//!   retry can be ended by hand (`delayed.rs`).
//! * Crashes are counted apart from failed attempts, and those of an entry that ran alone apart from both (`alone.rs`).
//! * Nothing is trimmed, and nothing left behind but the dedupe records (`settle.rs`).
//!
//! Not promised: that a delivery comes only once. A worker that was frozen longer than its lease, or that cannot tell
//! Redis it is done, has its delivery run again; handlers must not mind. Nor any order.

mod admin;
mod audit;
mod batcher;
mod cause;
mod config;
mod connection;
mod consumer;
mod dead_letters;
mod dedupe;
mod delayed;
mod delivery;
mod enqueue;
mod entry;
mod error;
mod generation;
mod instances;
mod keys;
mod leases;
mod memory;
mod notifications;
mod pauses;
mod preflight;
mod presence;
mod producer;
mod repair;
mod scripts;
mod server_check;
mod stats;

pub use admin::QueueAdmin;
pub use cause::Cause;
pub use config::{ConsumerConfig, QueueConfig, consumer_name};
pub use consumer::Consumer;
pub use dead_letters::DeadLetter;
pub use dedupe::DEDUPE_WINDOW;
pub use delayed::{Delayed, Unsettled};
pub use delivery::{Delivery, Settled};
pub use enqueue::Enqueued;
pub use entry::{ENTRY_VERSION, Entry, EntryError, EntryRef};
pub use error::{EnqueueError, QueueError};
pub use instances::{Instance, InstanceInfo, KnownTargets};
pub use keys::{GROUP, Keys};
pub use memory::{MemoryLevel, MemoryReport, MemoryUse};
pub use notifications::{NotificationStream, StreamedNotification};
pub use pauses::Pause;
pub use preflight::{NotReady, Preflight, PreflightError};
pub use presence::{Presence, PresenceSnapshot};
pub use producer::Producer;
pub use repair::{Repair, RepairKind};
pub use server_check::{ServerFinding, ServerReport, Severity};
pub use stats::FamilyStats;
