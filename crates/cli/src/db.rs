//! `landfall db export` and `landfall db import`: all rows from one database to another, such as from SQLite to PostgreSQL.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use service::settings::StoreSettings;
use store::{Store, TransferError};

use crate::exit::{Answer, Failure};
use crate::stored;

const EXAMPLES: &str = "\
From SQLite to PostgreSQL, with all workers stopped; webhooks wait in Redis:
  landfall db export --output landfall.jsonl
  export DATABASE_URL=postgres://landfall:PASSWORD@HOST/landfall
  landfall db import landfall.jsonl

or at once:
  landfall db export | DATABASE_URL=postgres://… landfall db import -

Raw files stay where they are: leave FILES_URL as it is. An import is all or
nothing. Exit codes: 0 done, 1 the database to import into has rows already, 2 a
file or setting is wrong, 3 a database could not be reached.";

/// Move all rows from one database to another
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Db {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Write every row of DATABASE_URL as JSON Lines
    Export {
        /// Write to this file, which must not be there yet, instead of stdout
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        store: StoreSettings,
    },
    /// Read an export into DATABASE_URL, which must have no rows yet; its tables are made
    Import {
        /// What `landfall db export` wrote; - is stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Delete all rows that are there first; when the import fails, they stay
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        store: StoreSettings,
    },
}

/// Moves rows out or in, and says how many on stderr.
pub(crate) async fn run(args: &Db, out: &mut dyn Write) -> Result<Answer, Failure> {
    match &args.action {
        Action::Export { output: None, store } => export(store, out).await,
        Action::Export { output: Some(path), store } => {
            let unwritable = |source| Failure::Unwritable { path: path.clone(), source };
            let file = File::create_new(path).map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => Failure::WrongUse(format!(
                    "{} already exists; name another file, or remove this one first",
                    path.display()
                )),
                _ => unwritable(source),
            });
            let mut file = BufWriter::new(file?);
            let answer = export(store, &mut file).await;
            let synced =
                file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
            synced.map_err(unwritable)?;
            answer
        }
        Action::Import { file, replace, store } => {
            let unreadable = |source| Failure::Unreadable { path: file.clone(), source };
            if file == Path::new("-") {
                return import(store, &mut BufReader::new(io::stdin()), *replace).await;
            }
            import(store, &mut BufReader::new(File::open(file).map_err(unreadable)?), *replace).await
        }
    }
}

async fn export(settings: &StoreSettings, out: &mut dyn Write) -> Result<Answer, Failure> {
    let store = stored::open(settings).await?;
    let rows = store.export(out).await.map_err(failure)?;
    eprintln!("{rows} rows exported");
    Ok(Answer::Yes)
}

async fn import(settings: &StoreSettings, input: &mut dyn BufRead, replace: bool) -> Result<Answer, Failure> {
    // Not what a worker does to open it: no folder is made for files.
    Store::migrate(&stored::config(settings)).await?;
    let store = stored::open(settings).await?;
    match store.import(input, replace).await {
        Ok(rows) => {
            eprintln!("{rows} rows imported");
            Ok(Answer::Yes)
        }
        Err(error @ TransferError::NotEmpty(_)) => {
            eprintln!("landfall: {error}: name an empty database, or let them be deleted with --replace");
            Ok(Answer::No)
        }
        Err(error) => Err(failure(error)),
    }
}

fn failure(error: TransferError) -> Failure {
    match error {
        TransferError::Store(error) => Failure::from(error),
        TransferError::Output(error) => Failure::Output(error),
        error @ (TransferError::Input(_) | TransferError::Malformed { .. } | TransferError::NotEmpty(_)) => {
            Failure::WrongUse(error_text::chain(&error))
        }
    }
}
