//! `landfall db export` and `landfall db import`: move all rows to another database, such as from SQLite to PostgreSQL.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use service::settings::StoreSettings;
use store::{Store, TransferError};

use crate::exit::{CliError, ExitStatus};
use crate::store_client;

const EXAMPLES: &str = "\
From SQLite to PostgreSQL, with all workers stopped; webhooks wait in Redis:
  landfall db export --output landfall.jsonl
  export DATABASE_URL=postgres://landfall:PASSWORD@HOST/landfall
  landfall db import landfall.jsonl

Without an intermediate file:
  landfall db export | DATABASE_URL=postgres://… landfall db import -

Raw files are not moved: leave FILES_URL unchanged. An import is atomic: it
stores all rows or none.

Exit codes: 0 success, 1 the target database already has rows, 2 usage error or
invalid file, 3 a database could not be reached.";

/// Move all rows from one database to another
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Db {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Write all rows of DATABASE_URL as JSON Lines
    Export {
        /// Write to this file, which must not exist yet, instead of stdout
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        store: StoreSettings,
    },
    /// Import an export into DATABASE_URL, which must be empty; missing tables are created
    Import {
        /// Output of `landfall db export`; - reads stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Delete all existing rows first; if the import fails, they are kept
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        store: StoreSettings,
    },
}

/// Exports or imports rows, and prints their number on stderr.
pub(crate) async fn run(args: &Db, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    match &args.action {
        Action::Export { output: None, store } => export(store, out).await,
        Action::Export { output: Some(path), store } => {
            let unwritable = |source| CliError::Unwritable { path: path.clone(), source };
            let file = File::create_new(path).map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => CliError::Usage(format!(
                    "{} already exists: choose another file, or remove it first",
                    path.display()
                )),
                _ => unwritable(source),
            });
            let mut file = BufWriter::new(file?);
            let exit_status = export(store, &mut file).await;
            let synced =
                file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
            synced.map_err(unwritable)?;
            exit_status
        }
        Action::Import { file, replace, store } => {
            let unreadable = |source| CliError::Unreadable { path: file.clone(), source };
            if file == Path::new("-") {
                return import(store, &mut BufReader::new(io::stdin()), *replace).await;
            }
            import(store, &mut BufReader::new(File::open(file).map_err(unreadable)?), *replace).await
        }
    }
}

async fn export(settings: &StoreSettings, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let store = store_client::open(settings).await?;
    let rows = store.export(out).await.map_err(failure)?;
    eprintln!("{rows} rows exported");
    Ok(ExitStatus::Success)
}

async fn import(
    settings: &StoreSettings,
    input: &mut dyn BufRead,
    replace: bool,
) -> Result<ExitStatus, CliError> {
    // Unlike a worker, this does not create a folder for raw files.
    Store::migrate(&store_client::config(settings)).await?;
    let store = store_client::open(settings).await?;
    match store.import(input, replace).await {
        Ok(rows) => {
            eprintln!("{rows} rows imported");
            Ok(ExitStatus::Success)
        }
        Err(error @ TransferError::NotEmpty(_)) => {
            eprintln!("landfall: {error}: use an empty database, or delete the existing rows with --replace");
            Ok(ExitStatus::Negative)
        }
        Err(error) => Err(failure(error)),
    }
}

fn failure(error: TransferError) -> CliError {
    match error {
        TransferError::Store(error) => CliError::from(error),
        TransferError::Output(error) => CliError::Output(error),
        error @ (TransferError::Input(_) | TransferError::Malformed { .. } | TransferError::NotEmpty(_)) => {
            CliError::Usage(error_text::chain(&error))
        }
    }
}
