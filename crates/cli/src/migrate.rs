//! `landfall migrate`: creates or migrates the database schema without a worker.

use std::io::Write;

use serde::Serialize;
use service::settings::StoreSettings;
use store::{Migrated, Store};

use crate::exit::{CliError, ExitStatus};
use crate::{json, store_client};

const EXAMPLES: &str = "\
Examples:
  landfall migrate           before you start workers of a new version, or if
                             their database role cannot create tables

Workers also migrate the schema when they start. Workers of the previous version
run on the new schema, so nothing has to be stopped.

Exit codes: 0 the schema is up to date, 2 invalid database setting, 3 the
database could not be reached or migrated.";

/// Create or migrate the database schema
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Migrate {
    /// Print one JSON object: from, to
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

/// Migrates the schema, and prints the version before and after.
pub(crate) async fn run(args: &Migrate, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let Migrated { from, to } = Store::migrate(&store_client::config(&args.store)).await?;
    if args.json {
        json::write_line(out, &Versions { from, to })?;
    } else if from == to {
        writeln!(out, "nothing to do: the schema is at version {to}")?;
    } else if from == 0 {
        writeln!(out, "created the tables: the schema is at version {to}")?;
    } else {
        writeln!(out, "migrated the schema from version {from} to version {to}")?;
    }
    Ok(ExitStatus::Success)
}
