//! Results of a batch as they are read page by page, and written as JSON Lines or CSV: for `results` and `export`.

use std::io::{self, Write};

use store::{Found, ResultFilter, ResultRow, Store, StoredBatch};

use crate::exit::{Answer, Failure};
use crate::shortfall::Shortfall;
use crate::{answer, json, printable};

/// About so much of bodies is read at a time, as far as the page before tells.
const PAGE_BYTES: usize = 4 << 20;
/// Of the first page, and at most.
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

/// The batch of this id.
pub(crate) async fn batch(store: &Store, batch_id: &str) -> Result<Option<StoredBatch>, Failure> {
    let found = store.find(batch_id).await?;
    Ok(found.into_iter().find_map(|found| match found {
        Found::Batch(batch) => Some(batch),
        _ => None,
    }))
}

/// Says on stderr what is missing. Results that are all there is are an answer; a part of them is none.
pub(crate) fn say(batch_id: &str, shortfall: &Shortfall) -> Answer {
    let id = printable::one_line(batch_id);
    match shortfall {
        Shortfall::Mismatch => {
            eprintln!(
                "landfall: all that OpenAI's files hold, but not one line a request: see `landfall show {id}`"
            );
            Answer::Yes
        }
        Shortfall::Incomplete(why) => {
            eprintln!("landfall: the results of {id} are not complete: {why}");
            Answer::No
        }
    }
}

/// Goes through results, in memory that does not grow with their number.
pub(crate) struct Pages<'a> {
    store: &'a Store,
    filter: ResultFilter,
    rows_left: u64,
    page_rows: u32,
}

impl<'a> Pages<'a> {
    /// What the filter finds, `rows_max` at most.
    pub(crate) fn new(store: &'a Store, filter: ResultFilter, rows_max: u64) -> Self {
        Self { store, filter, rows_left: rows_max, page_rows: FIRST_PAGE_ROWS }
    }

    /// The next ones; nothing at the end.
    pub(crate) async fn next(&mut self) -> Result<Vec<ResultRow>, Failure> {
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

    /// Whether the end was that of the number asked for.
    pub(crate) fn cut(&self) -> bool {
        self.rows_left == 0
    }
}

/// Lines of one batch are much alike, but one may have 5 MB, and a page may not have thousands of those.
fn rows_of_next(page: &[ResultRow]) -> u32 {
    let bytes: usize = page.iter().map(|row| row.body.as_ref().map_or(0, Vec::len) + 200).sum();
    let rows = (PAGE_BYTES * page.len()).checked_div(bytes).unwrap_or(0);
    u32::try_from(rows).unwrap_or(u32::MAX).clamp(1, PAGE_ROWS_MAX)
}

/// How results are written for other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LineFormat {
    /// One JSON object a line, bodies included
    Jsonl,
    /// A line of names, then one record a result
    Csv,
}

/// Writes in one of the formats.
pub(crate) enum LineWriter<'a> {
    Jsonl(&'a mut dyn Write),
    Csv(Box<csv::Writer<&'a mut dyn Write>>),
}

impl<'a> LineWriter<'a> {
    /// CSV begins with the names of its columns.
    pub(crate) fn new(format: LineFormat, out: &'a mut dyn Write) -> Result<Self, Failure> {
        Ok(match format {
            LineFormat::Jsonl => Self::Jsonl(out),
            LineFormat::Csv => {
                let mut csv = csv::Writer::from_writer(out);
                csv.write_record(CSV_HEAD).map_err(output)?;
                Self::Csv(Box::new(csv))
            }
        })
    }

    pub(crate) fn write(&mut self, rows: &[ResultRow]) -> Result<(), Failure> {
        for row in rows {
            match self {
                Self::Jsonl(out) => json::write_line(out, row)?,
                Self::Csv(csv) => csv.write_byte_record(&record(row)).map_err(output)?,
            }
        }
        Ok(())
    }

    /// What was written is with whoever takes it.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Jsonl(out) => out.flush()?,
            Self::Csv(mut csv) => csv.flush()?,
        }
        Ok(())
    }
}

/// What is below: a reader that has seen enough is no error.
fn output(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// A body is there byte for byte; what is not there is empty.
fn record(row: &ResultRow) -> csv::ByteRecord {
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let body = row.body.as_deref().unwrap_or_default();
    let text = if row.quarantined { None } else { answer::text(body) };
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
    fn a_record_of_csv_reads_back_as_it_was() {
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
