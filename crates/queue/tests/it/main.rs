//! Tests of the queue against a real Redis, one guarantee per file.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod acks;
mod alone;
mod causes;
mod changes;
mod dead_letters;
mod dedupe;
mod dedupe_memory;
mod delayed;
mod documents;
mod enqueue;
mod golden;
mod harness;
mod instances;
mod leases;
mod model;
mod mutants;
mod network;
mod notifications;
mod odd_entries;
mod outage;
mod pauses;
mod queued_objects;
mod recovery;
mod redrive;
mod repair;
mod replay;
mod round_trips;
mod script_swap;
mod server_check;
mod server_trouble;
mod settle;
mod stats;
