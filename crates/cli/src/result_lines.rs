//! Reads the results of a batch page by page and writes them as JSON Lines or CSV, for `results` and `export`.

use std::io::{self, Write};

use store::{Found, ResultFilter, ResultRow, Store, StoredBatch};

use crate::exit::{CliError, ExitStatus};
use crate::shortfall::Shortfall;
use crate::{json, model_output, printable};

/// Approximate size of a page, estimated from the previous page.
const PAGE_BYTES: usize = 4 << 20;
/// Size of the first page, and maximum size of a page.
const FIRST_PAGE_ROWS: u32 = 100;
const PAGE_ROWS_MAX: u32 = 2000;

const CSV_HEAD: [&str; 11] = [
    "source",
    "line",
    "custom_id",
    "status_code",
    "request_id",
    "input_tokens",
    "output_tokens",
    "output_text",
    "error",
    "quarantined",
    "body",
];

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

/// Reads results in pages of bounded size.
pub(crate) struct Pages<'a> {
    store: &'a Store,
    filter: ResultFilter,
    rows_left: u64,
    page_rows: u32,
}

impl<'a> Pages<'a> {
    /// Reads the results that match the filter, at most `rows_max`.
    pub(crate) fn new(store: &'a Store, filter: ResultFilter, rows_max: u64) -> Self {
        Self { store, filter, rows_left: rows_max, page_rows: FIRST_PAGE_ROWS }
    }

    /// The next page; empty at the end.
    pub(crate) async fn next(&mut self) -> Result<Vec<ResultRow>, CliError> {
        self.filter.limit = self.page_rows.min(u32::try_from(self.rows_left).unwrap_or(u32::MAX));
        if self.filter.limit == 0 {
            return Ok(Vec::new());
        }
        let page = self.store.batch_results(&self.filter).await?;
        if let Some(last) = page.last() {
            self.filter.after = Some((last.source, last.line));
            self.rows_left = self.rows_left.saturating_sub(page.len() as u64);
            self.page_rows = rows_of_next(&page);
        }
        Ok(page)
    }

    /// Whether `rows_max` was reached.
    pub(crate) fn is_truncated(&self) -> bool {
        self.rows_left == 0
    }
}

/// Lines of a batch are usually of similar size, but can have 5 MB each, so the size of a page must be limited.
fn rows_of_next(page: &[ResultRow]) -> u32 {
    let bytes: usize = page.iter().map(|row| row.body.as_ref().map_or(0, Vec::len) + 200).sum();
    let rows = (PAGE_BYTES * page.len()).checked_div(bytes).unwrap_or(0);
    u32::try_from(rows).unwrap_or(u32::MAX).clamp(1, PAGE_ROWS_MAX)
}

/// Output formats for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LineFormat {
    /// One JSON object per line, with bodies
    Jsonl,
    /// A header line, then one record per result
    Csv,
}

/// Writes results in one of the formats.
pub(crate) enum LineWriter<'a> {
    Jsonl(&'a mut dyn Write),
    Csv(Box<csv::Writer<&'a mut dyn Write>>),
}

impl<'a> LineWriter<'a> {
    /// Writes the CSV header, if any.
    pub(crate) fn new(format: LineFormat, out: &'a mut dyn Write) -> Result<Self, CliError> {
        Ok(match format {
            LineFormat::Jsonl => Self::Jsonl(out),
            LineFormat::Csv => {
                let mut csv = csv::Writer::from_writer(out);
                csv.write_record(CSV_HEAD).map_err(output)?;
                Self::Csv(Box::new(csv))
            }
        })
    }

    pub(crate) fn write(&mut self, rows: &[ResultRow]) -> Result<(), CliError> {
        for row in rows {
            match self {
                Self::Jsonl(out) => json::write_line(out, row)?,
                Self::Csv(csv) => csv.write_byte_record(&record(row)).map_err(output)?,
            }
        }
        Ok(())
    }

    /// Flushes the output.
    pub(crate) fn finish(self) -> Result<(), CliError> {
        match self {
            Self::Jsonl(out) => out.flush()?,
            Self::Csv(mut csv) => csv.flush()?,
        }
        Ok(())
    }
}

/// The I/O error below, so that a closed pipe is recognized.
fn output(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// Bodies are unchanged; missing values are empty.
fn record(row: &ResultRow) -> csv::ByteRecord {
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let body = row.body.as_deref().unwrap_or_default();
    let text = if row.quarantined { None } else { model_output::text(body) };
    let mut record = csv::ByteRecord::new();
    record.push_field(row.source.as_str().as_bytes());
    record.push_field(row.line.to_string().as_bytes());
    record.push_field(row.custom_id.as_deref().unwrap_or_default().as_bytes());
    record.push_field(number(row.status_code).as_bytes());
    record.push_field(row.request_id.as_deref().unwrap_or_default().as_bytes());
    record.push_field(number(row.input_tokens).as_bytes());
    record.push_field(number(row.output_tokens).as_bytes());
    record.push_field(text.unwrap_or_default().as_bytes());
    record.push_field(row.error.as_deref().unwrap_or_default().as_bytes());
    record.push_field(row.quarantined.to_string().as_bytes());
    record.push_field(body);
    record
}

#[cfg(test)]
mod tests {
    use store::ResultSource;

    use super::*;

    fn row(body: Vec<u8>) -> ResultRow {
        ResultRow {
            project: "default".to_owned(),
            batch_id: "batch_1".to_owned(),
            source: ResultSource::Output,
            line: 1,
            custom_id: None,
            status_code: None,
            request_id: None,
            body: Some(body),
            error: None,
            input_tokens: None,
            output_tokens: None,
            cached_tokens: None,
            cache_write_tokens: None,
            reasoning_tokens: None,
            quarantined: false,
        }
    }

    #[test]
    fn the_longer_the_lines_the_shorter_the_page() {
        let pages = [(100, 100), (100, 40_000), (100, 5 << 20)];
        let rows = pages.map(|(rows, bytes)| rows_of_next(&vec![row(vec![b'x'; bytes]); rows]));
        assert_eq!(rows, [PAGE_ROWS_MAX, 104, 1]);
    }

    #[test]
    fn a_csv_record_reads_back_unchanged() {
        let body = b"{\"output\":[{\"content\":[{\"type\":\"output_text\",\"text\":\"a, \\\"b\\\"\\nc\"}]}]}"
            .to_vec();
        let mut written = Vec::new();
        let mut writer = LineWriter::new(LineFormat::Csv, &mut written).unwrap();
        writer.write(&[row(body.clone()), row(b"\xff\r\n".to_vec())]).unwrap();
        writer.finish().unwrap();
        let mut reader = csv::Reader::from_reader(written.as_slice());
        let read: Vec<csv::ByteRecord> = reader.byte_records().map(Result::unwrap).collect();
        assert_eq!((&read[0][7], &read[0][10]), (&b"a, \"b\"\nc"[..], body.as_slice()));
        assert_eq!((&read[1][7], &read[1][10]), (&b""[..], &b"\xff\r\n"[..]));
    }
}
