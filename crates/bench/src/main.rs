//! The program `bench`: Landfall beside what users would write themselves, in alternating turns on one machine.
//! `scripts/bench` builds and starts it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a table is what it is for")]

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

/// Measures Landfall beside what users would write themselves
#[derive(Parser)]
#[command(name = "bench", version)]
enum Command {
    /// Receiving webhooks: verify, drop repeats, put into Redis, answer
    Ingest(ingest::Flags),
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Ingest(flags) => ingest::run(&flags),
    }
}
