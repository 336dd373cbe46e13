//! The results of a batch as JSON Lines or CSV: for `landfall results` and `export`, and for the HTTP API.

use std::borrow::Cow;
use std::io::{self, Write};

use store::ResultRow;

use crate::model_output;

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

/// Formats for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// One JSON object per line, with bodies.
    Jsonl,
    /// One record per result, with every value as it is.
    Csv,
    /// The same for a spreadsheet, which takes some texts for formulas and runs them: these begin with `'`.
    SpreadsheetCsv,
}

/// Writes the line before all results, if the format has one.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_head(format: LineFormat, out: &mut dyn Write) -> io::Result<()> {
    match format {
        LineFormat::Jsonl => Ok(()),
        LineFormat::Csv | LineFormat::SpreadsheetCsv => writeln!(out, "{}", CSV_HEAD.join(",")),
    }
}

/// Writes results.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_lines(format: LineFormat, rows: &[ResultRow], out: &mut dyn Write) -> io::Result<()> {
    match format {
        LineFormat::Jsonl => rows.iter().try_for_each(|row| write_json(row, out)),
        LineFormat::Csv => write_csv(rows, unchanged, out),
        LineFormat::SpreadsheetCsv => write_csv(rows, without_formula, out),
    }
}

/// Stored JSON is embedded unchanged except for its line breaks.
fn write_json(row: &ResultRow, out: &mut dyn Write) -> io::Result<()> {
    let text = serde_json::to_string(row).map_err(io::Error::other)?;
    // JSON strings contain only escaped line breaks, so the others separate tokens.
    writeln!(out, "{}", text.replace(['\n', '\r'], " "))
}

fn write_csv(
    rows: &[ResultRow],
    text: impl Fn(&[u8]) -> Cow<'_, [u8]>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    for row in rows {
        csv.write_byte_record(&record(row, &text)).map_err(output)?;
    }
    csv.flush()
}

/// The I/O error below, so that a closed pipe is recognized.
fn output(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// Missing values are empty. `text` is applied to what came from outside.
fn record(row: &ResultRow, text: impl Fn(&[u8]) -> Cow<'_, [u8]>) -> csv::ByteRecord {
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let body = row.body.as_deref().unwrap_or_default();
    let output = if row.quarantined { None } else { model_output::text(body) };
    let mut record = csv::ByteRecord::new();
    record.push_field(row.source.as_str().as_bytes());
    record.push_field(row.line.to_string().as_bytes());
    record.push_field(&text(row.custom_id.as_deref().unwrap_or_default().as_bytes()));
    record.push_field(number(row.status_code).as_bytes());
    record.push_field(&text(row.request_id.as_deref().unwrap_or_default().as_bytes()));
    record.push_field(number(row.input_tokens).as_bytes());
    record.push_field(number(row.output_tokens).as_bytes());
    record.push_field(&text(output.unwrap_or_default().as_bytes()));
    record.push_field(&text(row.error.as_deref().unwrap_or_default().as_bytes()));
    record.push_field(row.quarantined.to_string().as_bytes());
    record.push_field(&text(body));
    record
}

fn unchanged(text: &[u8]) -> Cow<'_, [u8]> {
    Cow::Borrowed(text)
}

/// As the OWASP page on CSV injection recommends.
fn without_formula(text: &[u8]) -> Cow<'_, [u8]> {
    match text.first() {
        Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r') => Cow::Owned([b"'", text].concat()),
        _ => Cow::Borrowed(text),
    }
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

    fn written(format: LineFormat, rows: &[ResultRow]) -> Vec<u8> {
        let mut out = Vec::new();
        write_head(format, &mut out).unwrap();
        write_lines(format, rows, &mut out).unwrap();
        out
    }

    fn answer(text: &str) -> Vec<u8> {
        let part = serde_json::json!({ "type": "output_text", "text": text });
        serde_json::json!({ "output": [{ "content": [part] }] }).to_string().into_bytes()
    }

    fn records(csv: &[u8]) -> Vec<csv::ByteRecord> {
        csv::Reader::from_reader(csv).byte_records().map(Result::unwrap).collect()
    }

    #[test]
    fn a_csv_record_reads_back_unchanged() {
        let body = answer("=a, \"b\"\nc");
        let read = records(&written(LineFormat::Csv, &[row(body.clone()), row(b"\xff\r\n".to_vec())]));
        assert_eq!((&read[0][7], &read[0][10]), (&b"=a, \"b\"\nc"[..], body.as_slice()));
        assert_eq!((&read[1][7], &read[1][10]), (&b""[..], &b"\xff\r\n"[..]));
    }

    #[test]
    fn a_spreadsheet_runs_nothing_that_a_model_wrote() {
        let formulas = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"];
        let mut rows: Vec<ResultRow> = formulas.iter().map(|text| row(answer(text))).collect();
        rows.push(ResultRow { custom_id: Some("=1".to_owned()), ..row(answer("a=1")) });
        let read = records(&written(LineFormat::SpreadsheetCsv, &rows));
        for (record, text) in read.iter().zip(formulas) {
            assert_eq!(record[7], *format!("'{text}").as_bytes());
        }
        assert_eq!((&read[6][2], &read[6][7]), (&b"'=1"[..], &b"a=1"[..]));
    }

    #[test]
    fn json_that_spans_lines_becomes_one_line_with_the_same_meaning() {
        let sent = "{\n  \"a\": \"x\\ny\",\r\n  \"b\": [1,\n 2]\n}";
        let lines = String::from_utf8(written(LineFormat::Jsonl, &[row(sent.into())])).unwrap();
        assert_eq!(lines.lines().count(), 1);
        let read: serde_json::Value = serde_json::from_str(&lines).unwrap();
        assert_eq!(read["body"], serde_json::from_str::<serde_json::Value>(sent).unwrap());
    }
}
