//! The program `bench`: compares Landfall with hand-written receivers, in alternating turns on one machine. `scripts/bench`
//! builds and starts it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints a table")]

mod http_response;
mod idle_connections;
mod ingest;
mod load;
mod peer;
mod plan;
mod process;
mod table;

use anyhow::Result;
use clap::Parser;

/// Compares the performance of Landfall with hand-written receivers
#[derive(Parser)]
#[command(name = "bench", version)]
enum Command {
    /// Receiving webhooks: verify, deduplicate, enqueue in Redis, respond
    Ingest(ingest::Flags),
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Ingest(flags) => ingest::run(&flags),
    }
}
