//! Everything that talks to Redis. `ingest` adds each event once to the stream of its family ([`Producer`]); workers
//! read [`Delivery`]s from it ([`Consumer`]), each under a lease, and settle them. All times are taken from Redis's
//! clock.
//!
//! The states of an entry, and where it is stored in each (key names in [`Keys`]):
//!
//! ```text
//! enqueue ─▶ undelivered ─▶ pending, under a lease ─▶ ack: deleted
//!            (stream)       (stream + group)  │ │ └──▶ dead letter (another stream), with reason and errors
//!                               ▲     ▲       │ └────▶ lease expired: reclaimed by any worker, counted as a crash
//!                               │     └───────│─────── (heartbeat renews it)
//!                               └─ delayed ◀──┘ retry (an attempt), snooze, release (neither)
//!                                  (stream + sorted set)
//! ```
//!
//! Guarantees, each with the test that proves it (`tests/it`):
//! * An event is enqueued once per `webhook-id` within the dedupe window (`dedupe.rs`). When `enqueue` returns `Ok`,
//!   Redis has the event, and still has it after a crash and restart (`outage.rs`).
//! * An entry is in exactly one place: `XLEN = undelivered + pending + delayed` after every step (`model.rs`).
//! * An acknowledged event is delivered at least once: deliveries of a dead worker are reclaimed when their leases
//!   expire (`leases.rs`), a lost reply is read again (`recovery.rs`), and an emptied or deleted group is recreated at
//!   0 (`recovery.rs`).
//! * Manual damage is repaired: entries stranded by `XACK` or `XGROUP DELCONSUMER` are due again within 30 seconds, and
//!   counted (`repair.rs`). A dead letter is redriven as a new entry in one step (`redrive.rs`). An operator can end
//!   the wait for a retry (`delayed.rs`).
//! * Crashes are counted separately from failed attempts, and crashes of an entry that ran alone separately from both
//!   (`alone.rs`).
//! * Deliveries acked together leave what single acks leave (`acks.rs`).
//! * What became of each event is announced at least once, in the step that deletes its entry, and a follower that is
//!   too slow learns that it missed something (`changes.rs`).
//! * A busy worker needs few round trips per event (`round_trips.rs`).
//! * No entry is trimmed, and only dedupe records and the latest changes stay behind (`settle.rs`).
//!
//! Not promised: exactly-once delivery. When a worker is frozen for longer than its lease, or cannot report to Redis
//! that it is done, the delivery runs again, so handlers must be idempotent. Order is not promised either.

mod acks;
mod admin;
mod audit;
mod batcher;
mod cause;
mod changes;
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
mod known_pauses;
mod leases;
mod memory;
mod notifications;
mod pauses;
mod preflight;
mod presence;
mod producer;
mod queued_objects;
mod repair;
mod scripts;
mod server_check;
mod stats;

pub use admin::QueueAdmin;
pub use cause::Cause;
pub use changes::{Change, ChangeFollower, ChangeId, Followed};
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
