//! `landfall results`: lists the results of a batch.

use std::io::{BufWriter, Write};
use std::ops::RangeInclusive;

use operations::ResultPages;
use service::settings::StoreSettings;
use store::{ResultFilter, ResultSource};

use crate::exit::{CliError, ExitStatus};
use crate::result_lines::{self, LineFormat, LineWriter, PAGE_BYTES};
use crate::shortfall::{self, Shortfall};
use crate::show::result_table;
use crate::{output, store_client};

const TABLE_ROWS_DEFAULT: u64 = 50;

const EXAMPLES: &str = "\
Examples:
  landfall results batch_685bd1                     the first 50 results
  landfall results batch_685bd1 --after output:50   the next 50
  landfall results batch_685bd1 --errors            only errors
  landfall results batch_685bd1 --status 429 --format csv
  landfall results batch_685bd1 --custom-id item-7 --json | jq .body

To write all results to a file, use `landfall export`. If the results are
incomplete, stderr gives the reason.

Exit codes: 0 success, 1 no such batch or no matching results, 2 usage error,
3 the database could not be reached.";

/// List the results of a batch
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Results {
    /// Batch ID (batch_…)
    batch_id: String,
    /// Only results with this custom_id
    #[arg(long, value_name = "ID")]
    custom_id: Option<String>,
    /// Only results with this HTTP status: 200, 429, or a class such as 4xx
    #[arg(long, value_name = "CODE", value_parser = status)]
    status: Option<RangeInclusive<u16>>,
    /// Only results with an error, a status of 400 or more, or quarantined
    #[arg(long)]
    errors: bool,
    /// Only results after this line, such as output:50 or error:3
    #[arg(long, value_name = "FILE:LINE", value_parser = position)]
    after: Option<(ResultSource, i64)>,
    /// Maximum number of results; default: 50 in a table, otherwise all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Print one JSON object per result: the same as --format jsonl
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    store: StoreSettings,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// A table; results are truncated to its width
    Table,
    /// One JSON object per line, with bodies
    Jsonl,
    /// A header line, then one record per result
    Csv,
}

/// Prints the batch's results.
pub(crate) async fn run(args: &Results, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let store = store_client::open(&args.store).await?;
    let Some(batch) = result_lines::batch(&store, &args.batch_id).await? else {
        eprintln!("landfall: {}", shortfall::of_unknown(&store, &args.batch_id).await?);
        return Ok(ExitStatus::Negative);
    };
    let mut filter = ResultFilter::of(&batch.batch.project, &args.batch_id, 0);
    filter.custom_id.clone_from(&args.custom_id);
    filter.status.clone_from(&args.status);
    filter.errors_only = args.errors;
    filter.after = args.after;
    let format = match (args.format, args.json) {
        (_, true) | (Format::Jsonl, _) => Some(LineFormat::Jsonl),
        (Format::Csv, false) => Some(LineFormat::Csv),
        (Format::Table, false) => None,
    };
    let rows_max = args.limit.unwrap_or(if format.is_some() { u64::MAX } else { TABLE_ROWS_DEFAULT });
    let mut pages = ResultPages::new(store.clone(), filter, rows_max, PAGE_BYTES);
    let last = match format {
        Some(format) => lines(&mut pages, format, out).await?,
        None => tables(&mut pages, out).await?,
    };
    if let Some(shortfall) = Shortfall::of(&store, &batch).await? {
        result_lines::report_shortfall(&args.batch_id, &shortfall);
    }
    let Some((source, line)) = last else {
        if batch.rows_stored > 0 {
            eprintln!("landfall: no results of the batch match");
        }
        return Ok(ExitStatus::Negative);
    };
    if pages.is_truncated() {
        eprintln!(
            "landfall: there may be more results; raise --limit, or continue with --after {source}:{line}"
        );
    }
    Ok(ExitStatus::Success)
}

/// The last line that was printed.
type Last = Option<(ResultSource, i64)>;

async fn lines(pages: &mut ResultPages, format: LineFormat, out: &mut dyn Write) -> Result<Last, CliError> {
    let mut last = None;
    let mut page = pages.next().await?;
    // Without results nothing is written, not even the CSV header.
    if page.is_empty() {
        return Ok(None);
    }
    let mut out = BufWriter::new(out);
    let mut writer = LineWriter::new(format, &mut out)?;
    while let Some(row) = page.last() {
        last = Some((row.source, row.line));
        writer.write(&page)?;
        page = pages.next().await?;
    }
    writer.finish()?;
    Ok(last)
}

/// Prints one table per page. The first page holds at least the default limit.
async fn tables(pages: &mut ResultPages, out: &mut dyn Write) -> Result<Last, CliError> {
    let mut last = None;
    loop {
        let page = pages.next().await?;
        let Some(row) = page.last() else { return Ok(last) };
        if last.is_some() {
            writeln!(out)?;
        }
        last = Some((row.source, row.line));
        write!(out, "{}", result_table(&page, output::width()))?;
    }
}

/// Parses `--status`.
fn status(text: &str) -> Result<RangeInclusive<u16>, String> {
    let bytes = text.as_bytes();
    if let [class @ b'1'..=b'5', b'x' | b'X', b'x' | b'X'] = bytes {
        let first = u16::from(class - b'0') * 100;
        return Ok(first..=first + 99);
    }
    let code = text.parse::<u16>().ok().filter(|code| (100..=599).contains(code) && bytes.len() == 3);
    code.map(|code| code..=code).ok_or_else(|| "write a status such as 200 or 429, or 4xx, 5xx".to_owned())
}

/// Parses `--after`.
fn position(text: &str) -> Result<(ResultSource, i64), String> {
    let position = text.split_once(':').and_then(|(source, line)| {
        Some((source.parse().ok()?, line.parse().ok().filter(|line: &i64| *line >= 0)?))
    });
    position.ok_or_else(|| "write the file and the line, such as output:50 or error:3".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_code_or_a_class() {
        assert_eq!(status("429"), Ok(429..=429));
        assert_eq!(status("4xx"), Ok(400..=499));
        assert_eq!(status("5XX"), Ok(500..=599));
        for text in ["", "4x", "6xx", "0xx", "42", "+42", "1000", "ok"] {
            assert!(status(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_position_is_a_file_and_a_line() {
        assert_eq!(position("error:3"), Ok((ResultSource::Error, 3)));
        for text in ["", "3", "output", "output:", "output:-1", "files:3"] {
            assert!(position(text).is_err(), "{text}");
        }
    }
}
