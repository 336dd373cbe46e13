//! `landfall migrate`: makes the database's tables, or brings them up to date, without a worker.

use std::io::Write;

use serde::Serialize;
use service::settings::StoreSettings;
use store::{Migrated, Store};

use crate::exit::{Answer, Failure};
use crate::{json, stored};

const EXAMPLES: &str = "\
Examples:
  landfall migrate           before workers of a new version start, or where
                             workers have a role that may make no tables

Workers do the same when they start. Those of the version before run on the new
schema, so nothing has to be stopped. Exit code: 0 the schema is up to date, 2 a
setting names no database, 3 it could not be reached or changed.";

/// Make the database's tables, or bring them up to date
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Migrate {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreSettings,
}

#[derive(Serialize)]
struct Versions {
    from: i64,
    to: i64,
}

/// Says which version the schema had and has.
pub(crate) async fn run(args: &Migrate, out: &mut dyn Write) -> Result<Answer, Failure> {
    let Migrated { from, to } = Store::migrate(&stored::config(&args.store)).await?;
    if args.json {
        json::write_line(out, &Versions { from, to })?;
    } else if from == to {
        writeln!(out, "nothing to do: the schema is at version {to}")?;
    } else if from == 0 {
        writeln!(out, "made the tables: the schema is at version {to}")?;
    } else {
        writeln!(out, "the schema went from version {from} to version {to}")?;
    }
    Ok(Answer::Yes)
}
