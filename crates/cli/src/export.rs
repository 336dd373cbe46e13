//! `landfall export`: writes all results of a batch to stdout or, atomically, to a file.

use std::fs::{self, Metadata};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

use operations::ResultPages;
use service::settings::StoreSettings;
use store::{ResultFilter, Store, StoredBatch};
use tempfile::NamedTempFile;

use crate::exit::{CliError, ExitStatus};
use crate::result_lines::{self, LineFormat, LineWriter, PAGE_BYTES};
use crate::shortfall::{self, Shortfall};
use crate::{output, progress, store_client};

const EXAMPLES: &str = "\
Examples:
  landfall export batch_685bd1 > results.jsonl
  landfall export batch_685bd1 --format csv --output results.csv

Writes all results: the lines of the output file, then those of the error file,
in file order. In CSV, the column output_text holds the model's text;
output_text and body are empty if there is none. The output file is written
under a temporary name in the same folder and renamed when it is complete. A
new file is readable only by you; a replaced file keeps its mode.

Exit codes: 0 success, 1 no such batch, or its results are missing or incomplete
(available results are written; stderr gives the reason), 2 usage error, 3 the
database could not be reached or the file could not be written.";

/// Write all results of a batch to a file or a pipe
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Export {
    /// Batch ID (batch_…)
    batch_id: String,
    /// Output format
    #[arg(long, value_enum, default_value_t = LineFormat::Jsonl)]
    format: LineFormat,
    /// Write to this file, replacing an existing one, instead of stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    store: StoreSettings,
}

/// Writes the batch's results.
pub(crate) async fn run(args: &Export, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let store = store_client::open(&args.store).await?;
    let Some(batch) = result_lines::batch(&store, &args.batch_id).await? else {
        eprintln!("landfall: {}", shortfall::of_unknown(&store, &args.batch_id).await?);
        return Ok(ExitStatus::Negative);
    };
    let rows = match &args.output {
        None => write_all(&store, &batch, args.format, &mut BufWriter::new(out)).await?,
        // Dropping the temporary file removes it.
        Some(path) => tokio::select! {
            rows = write_file(&store, &batch, args.format, path) => rows?,
            _ = tokio::signal::ctrl_c() => {
                eprintln!("landfall: interrupted; {} is unchanged", path.display());
                return Ok(ExitStatus::Negative);
            }
        },
    };
    if args.output.is_some() {
        eprintln!("landfall: {} results exported", output::count(rows));
    }
    exit_status(&store, &batch).await
}

async fn exit_status(store: &Store, batch: &StoredBatch) -> Result<ExitStatus, CliError> {
    let Some(shortfall) = Shortfall::of(store, batch).await? else { return Ok(ExitStatus::Success) };
    Ok(result_lines::report_shortfall(&batch.batch.batch_id, &shortfall))
}

async fn write_all(
    store: &Store,
    batch: &StoredBatch,
    format: LineFormat,
    out: &mut dyn Write,
) -> Result<u64, CliError> {
    let bar = progress::bar(u64::try_from(batch.rows_stored).unwrap_or(0), false);
    let filter = ResultFilter::of(&batch.batch.project, &batch.batch.batch_id, 0);
    let mut pages = ResultPages::new(store.clone(), filter, u64::MAX, PAGE_BYTES);
    let mut writer = LineWriter::new(format, out)?;
    let mut rows = 0;
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            break;
        }
        writer.write(&page)?;
        rows += page.len() as u64;
        bar.set_position(rows);
    }
    writer.finish()?;
    bar.finish_and_clear();
    Ok(rows)
}

async fn write_file(
    store: &Store,
    batch: &StoredBatch,
    format: LineFormat,
    path: &Path,
) -> Result<u64, CliError> {
    let failed =
        |source: io::Error| CliError::unreachable(format!("cannot write {}", path.display()), source);
    let Replaced { path: replaced, before } = Replaced::at(path)?;
    let folder = match replaced.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // Readable only by its owner, unless it replaces a file with another mode.
    let file = tempfile::Builder::new().prefix(".landfall-export-").tempfile_in(folder);
    let mut file: NamedTempFile = file.map_err(failed)?;
    if let Some(before) = before {
        // Only root can change the owner.
        fchown(file.as_file(), Some(before.uid()), Some(before.gid())).ok();
        file.as_file().set_permissions(before.permissions()).map_err(failed)?;
    }
    let mut out = BufWriter::new(file.as_file_mut());
    let written = write_all(store, batch, format, &mut out).await;
    let rows = written.map_err(|failure| match failure {
        CliError::Output(source) => failed(source),
        other => other,
    })?;
    out.flush().map_err(failed)?;
    drop(out);
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&replaced).map_err(|error| failed(error.error))?;
    Ok(rows)
}

/// The file that the export replaces or creates.
struct Replaced {
    path: PathBuf,
    /// Metadata of the existing file.
    before: Option<Metadata>,
}

impl Replaced {
    /// Follows a symbolic link to the file to replace. Devices and pipes are never replaced.
    fn at(path: &Path) -> Result<Self, CliError> {
        let refused = |what: &str| CliError::Usage(format!("--output: {} is {what}", path.display()));
        match fs::metadata(path) {
            Ok(before) if before.is_file() => {
                let path = fs::canonicalize(path)
                    .map_err(|source| CliError::Unreadable { path: path.to_owned(), source })?;
                Ok(Self { path, before: Some(before) })
            }
            Ok(before) if before.is_dir() => Err(refused("a folder: choose a file in it")),
            Ok(_) => Err(refused("not a regular file: omit --output and redirect stdout to it")),
            Err(_) if fs::symlink_metadata(path).is_ok_and(|before| before.is_symlink()) => {
                Err(refused("a dangling symbolic link: remove it, or choose another file"))
            }
            // An error of the folder is reported when the file is created.
            Err(_) => Ok(Self { path: path.to_owned(), before: None }),
        }
    }
}
