//! What `results` and `export` share: the batch, the formats of its results, and what they say if some are missing.

use std::io::Write;

use store::{Found, ResultRow, Store, StoredBatch};

use crate::exit::{CliError, ExitStatus};
use crate::printable;
use crate::shortfall::Shortfall;

/// The batch with this id.
pub(crate) async fn batch(store: &Store, batch_id: &str) -> Result<Option<StoredBatch>, CliError> {
    let found = store.find(batch_id).await?;
    Ok(found.into_iter().find_map(|found| match found {
        Found::Batch(batch) => Some(batch),
        _ => None,
    }))
}

/// Prints on stderr what is missing. Incomplete results are a negative exit status; a mismatch is not.
pub(crate) fn report_shortfall(batch_id: &str, shortfall: &Shortfall) -> ExitStatus {
    let id = printable::one_line(batch_id);
    match shortfall {
        Shortfall::Mismatch => {
            eprintln!(
                "landfall: these are all results that OpenAI has, but their number differs from the number of requests; \
                 see `landfall show {id}`"
            );
            ExitStatus::Success
        }
        Shortfall::Incomplete(why) => {
            eprintln!("landfall: the results of {id} are incomplete: {why}");
            ExitStatus::Negative
        }
    }
}

/// Approximate size of a page.
pub(crate) const PAGE_BYTES: usize = 4 << 20;

/// Output formats for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LineFormat {
    /// One JSON object per line, with bodies
    Jsonl,
    /// A header line, then one record per result
    Csv,
}

impl From<LineFormat> for operations::LineFormat {
    fn from(format: LineFormat) -> Self {
        match format {
            LineFormat::Jsonl => Self::Jsonl,
            LineFormat::Csv => Self::Csv,
        }
    }
}

/// Writes results in one of the formats.
pub(crate) struct LineWriter<'a> {
    format: operations::LineFormat,
    out: &'a mut dyn Write,
}

impl<'a> LineWriter<'a> {
    /// Writes the CSV header, if any.
    pub(crate) fn new(format: LineFormat, out: &'a mut dyn Write) -> Result<Self, CliError> {
        let format = format.into();
        operations::write_head(format, out)?;
        Ok(Self { format, out })
    }

    pub(crate) fn write(&mut self, rows: &[ResultRow]) -> Result<(), CliError> {
        Ok(operations::write_lines(self.format, rows, self.out)?)
    }

    /// Flushes the output.
    pub(crate) fn finish(self) -> Result<(), CliError> {
        Ok(self.out.flush()?)
    }
}
