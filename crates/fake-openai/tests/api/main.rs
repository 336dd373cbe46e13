//! Tests of the fake over real sockets: OpenAI's schemas, and every fault as it is on the wire.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod agents;
mod binary;
mod client;
mod containers;
mod content;
mod control;
mod creation;
mod faults;
mod generator;
mod objects;
mod paging;
mod refusals;
mod schemas;
mod sending;
