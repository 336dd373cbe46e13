//! `landfall export`: all results of one batch, to stdout or to a file that is there only when it is whole.

use std::fs::{self, Metadata};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

use service::settings::StoreSettings;
use store::{ResultFilter, Store, StoredBatch};
use tempfile::NamedTempFile;

use crate::exit::{Answer, Failure};
use crate::result_lines::{self, LineFormat, LineWriter, Pages};
use crate::shortfall::{self, Shortfall};
use crate::{progress, screen, stored};

const EXAMPLES: &str = "\
Examples:
  landfall export batch_685bd1 > results.jsonl
  landfall export batch_685bd1 --format csv --output results.csv

All of the batch's lines, those of the output file first, in the order of the
files. In CSV the column output_text has the answer's words; output_text and
body are empty where there are none. A file is written under a temporary name
beside its own, and gets its name when it is whole. A new file is readable by
you alone; one that is replaced keeps its mode.

Exit code: 0 done, 1 no such batch, or it has no results, or not all of them are
stored (what there is was written; stderr says why), 2 wrong use, 3 the database
was not reached or the file could not be written.";

/// All results of a batch, to a file or a pipe
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Export {
    /// batch_…
    batch_id: String,
    /// How
    #[arg(long, value_enum, default_value_t = LineFormat::Jsonl)]
    format: LineFormat,
    /// Into this file, replacing one that is there; without it to stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    store: StoreSettings,
}

/// Writes the batch's results.
pub(crate) async fn run(args: &Export, out: &mut dyn Write) -> Result<Answer, Failure> {
    let store = stored::open(&args.store).await?;
    let Some(batch) = result_lines::batch(&store, &args.batch_id).await? else {
        eprintln!("landfall: {}", shortfall::of_unknown(&store, &args.batch_id).await?);
        return Ok(Answer::No);
    };
    let rows = match &args.output {
        None => write_all(&store, &batch, args.format, &mut BufWriter::new(out)).await?,
        // Ctrl-C drops the temporary file, which removes it.
        Some(path) => tokio::select! {
            rows = write_file(&store, &batch, args.format, path) => rows?,
            _ = tokio::signal::ctrl_c() => {
                eprintln!("landfall: interrupted; {} is as it was", path.display());
                return Ok(Answer::No);
            }
        },
    };
    if args.output.is_some() {
        eprintln!("landfall: {} results exported", screen::count(rows));
    }
    answer(&store, &batch).await
}

async fn answer(store: &Store, batch: &StoredBatch) -> Result<Answer, Failure> {
    let Some(shortfall) = Shortfall::of(store, batch).await? else { return Ok(Answer::Yes) };
    Ok(result_lines::say(&batch.batch.batch_id, &shortfall))
}

async fn write_all(
    store: &Store,
    batch: &StoredBatch,
    format: LineFormat,
    out: &mut dyn Write,
) -> Result<u64, Failure> {
    let bar = progress::bar(u64::try_from(batch.rows_stored).unwrap_or(0), false);
    let filter = ResultFilter::of(&batch.batch.project, &batch.batch.batch_id, 0);
    let mut pages = Pages::new(store, filter, u64::MAX);
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
) -> Result<u64, Failure> {
    let failed = |source: io::Error| Failure::unreachable(format!("cannot write {}", path.display()), source);
    let Replaced { path: replaced, before } = Replaced::at(path)?;
    let folder = match replaced.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // Readable by its user alone, unless it replaces a file that is not.
    let file = tempfile::Builder::new().prefix(".landfall-export-").tempfile_in(folder);
    let mut file: NamedTempFile = file.map_err(failed)?;
    if let Some(before) = before {
        // Only root may give a file away.
        fchown(file.as_file(), Some(before.uid()), Some(before.gid())).ok();
        file.as_file().set_permissions(before.permissions()).map_err(failed)?;
    }
    let mut out = BufWriter::new(file.as_file_mut());
    let written = write_all(store, batch, format, &mut out).await;
    let rows = written.map_err(|failure| match failure {
        Failure::Output(source) => failed(source),
        other => other,
    })?;
    out.flush().map_err(failed)?;
    drop(out);
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&replaced).map_err(|error| failed(error.error))?;
    Ok(rows)
}

/// The file that gets the export's name.
struct Replaced {
    path: PathBuf,
    /// What is there now.
    before: Option<Metadata>,
}

impl Replaced {
    /// A link leads to the file that is replaced. A device or a pipe is never replaced.
    fn at(path: &Path) -> Result<Self, Failure> {
        let refused = |what: &str| Failure::WrongUse(format!("--output: {} is {what}", path.display()));
        match fs::metadata(path) {
            Ok(before) if before.is_file() => {
                let path = fs::canonicalize(path)
                    .map_err(|source| Failure::Unreadable { path: path.to_owned(), source })?;
                Ok(Self { path, before: Some(before) })
            }
            Ok(before) if before.is_dir() => Err(refused("a folder: name a file in it")),
            Ok(_) => Err(refused("no regular file: leave --output out, and redirect stdout to it")),
            Err(_) if fs::symlink_metadata(path).is_ok_and(|before| before.is_symlink()) => {
                Err(refused("a link that leads nowhere: remove it, or name another file"))
            }
            // What is wrong with the folder is said when the file is made.
            Err(_) => Ok(Self { path: path.to_owned(), before: None }),
        }
    }
}
