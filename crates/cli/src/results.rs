//! `landfall results`: the results of one batch, line by line.

use std::io::{BufWriter, Write};
use std::ops::RangeInclusive;

use service::settings::StoreSettings;
use store::{ResultFilter, ResultSource};

use crate::exit::{Answer, Failure};
use crate::result_lines::{self, LineFormat, LineWriter, Pages};
use crate::shortfall::{self, Shortfall};
use crate::show::result_table;
use crate::{screen, stored};

const TABLE_ROWS_DEFAULT: u64 = 50;

const EXAMPLES: &str = "\
Examples:
  landfall results batch_685bd1                     the first 50 lines
  landfall results batch_685bd1 --after output:50   the next 50
  landfall results batch_685bd1 --errors            only what failed
  landfall results batch_685bd1 --status 429 --format csv
  landfall results batch_685bd1 --custom-id item-7 --json | jq .body

All of a batch into a file: `landfall export`. A batch whose results are not
complete says why on stderr.

Exit code: 0 done, 1 no such batch or no such line, 2 wrong use, 3 the database
was not reached.";

/// The results of a batch, line by line
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Results {
    /// batch_…
    batch_id: String,
    /// Only the lines of this custom_id
    #[arg(long, value_name = "ID")]
    custom_id: Option<String>,
    /// Only lines that were answered with this status: 200, 429, or a class of them such as 4xx
    #[arg(long, value_name = "CODE", value_parser = status)]
    status: Option<RangeInclusive<u16>>,
    /// Only lines with an error, a status of 400 or more, or kept as bytes
    #[arg(long)]
    errors: bool,
    /// Only what comes after this line, such as output:50 or error:3
    #[arg(long, value_name = "FILE:LINE", value_parser = place)]
    after: Option<(ResultSource, i64)>,
    /// At most so many; without it 50 in a table, else all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// How
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// One JSON object a line: the same as --format jsonl
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    store: StoreSettings,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// For people; answers are cut to the line
    Table,
    /// One JSON object a line, bodies included
    Jsonl,
    /// A line of names, then one record a result
    Csv,
}

/// Prints the batch's results.
pub(crate) async fn run(args: &Results, out: &mut dyn Write) -> Result<Answer, Failure> {
    let store = stored::open(&args.store).await?;
    let Some(batch) = result_lines::batch(&store, &args.batch_id).await? else {
        eprintln!("landfall: {}", shortfall::of_unknown(&store, &args.batch_id).await?);
        return Ok(Answer::No);
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
    let mut pages = Pages::new(&store, filter, rows_max);
    let last = match format {
        Some(format) => lines(&mut pages, format, out).await?,
        None => tables(&mut pages, out).await?,
    };
    if let Some(shortfall) = Shortfall::of(&store, &batch).await? {
        // What there is was shown all the same.
        result_lines::say(&args.batch_id, &shortfall);
    }
    let Some((source, line)) = last else {
        if batch.rows_stored > 0 {
            eprintln!("landfall: the batch has no such results");
        }
        return Ok(Answer::No);
    };
    if pages.cut() {
        eprintln!("landfall: there may be more; see --limit, or go on with --after {source}:{line}");
    }
    Ok(Answer::Yes)
}

/// The last line that was shown.
type Last = Option<(ResultSource, i64)>;

async fn lines(pages: &mut Pages<'_>, format: LineFormat, out: &mut dyn Write) -> Result<Last, Failure> {
    let mut last = None;
    let mut page = pages.next().await?;
    // Without results nothing is written, not even the names of CSV's columns: the answer is no.
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

/// One table a page: the first holds as many as are shown without `--limit`.
async fn tables(pages: &mut Pages<'_>, out: &mut dyn Write) -> Result<Last, Failure> {
    let mut last = None;
    loop {
        let page = pages.next().await?;
        let Some(row) = page.last() else { return Ok(last) };
        if last.is_some() {
            writeln!(out)?;
        }
        last = Some((row.source, row.line));
        write!(out, "{}", result_table(&page, screen::width()))?;
    }
}

/// Reads `--status`.
fn status(text: &str) -> Result<RangeInclusive<u16>, String> {
    let bytes = text.as_bytes();
    if let [class @ b'1'..=b'5', b'x' | b'X', b'x' | b'X'] = bytes {
        let first = u16::from(class - b'0') * 100;
        return Ok(first..=first + 99);
    }
    let code = text.parse::<u16>().ok().filter(|code| (100..=599).contains(code) && bytes.len() == 3);
    code.map(|code| code..=code).ok_or_else(|| "write a status such as 200 or 429, or 4xx, 5xx".to_owned())
}

/// Reads `--after`.
fn place(text: &str) -> Result<(ResultSource, i64), String> {
    let place = text.split_once(':').and_then(|(source, line)| {
        Some((source.parse().ok()?, line.parse().ok().filter(|line: &i64| *line >= 0)?))
    });
    place.ok_or_else(|| "write the file and the line, such as output:50 or error:3".to_owned())
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
    fn a_place_is_a_file_and_a_line() {
        assert_eq!(place("error:3"), Ok((ResultSource::Error, 3)));
        for text in ["", "3", "output", "output:", "output:-1", "files:3"] {
            assert!(place(text).is_err(), "{text}");
        }
    }
}
