//! A batch: its counts and files, and its first results.

use store::{ResultFilter, ResultRow, Store, StoredBatch};

use super::layout::{Layout, error_text, or_empty, usage_text};
use crate::exit::CliError;
use crate::output::{self, Text};
use crate::printable;
use crate::shortfall::Shortfall;

const ROWS_SHOWN: u32 = 5;
const CUSTOM_ID_CHARS_MAX: usize = 24;

pub(super) async fn text(
    store: &Store,
    stored_batch: &StoredBatch,
    layout: Layout,
) -> Result<String, CliError> {
    let batch = &stored_batch.batch;
    let fields = [
        ("status", or_empty(batch.status.as_deref())),
        ("endpoint", or_empty(batch.endpoint.as_deref())),
        ("model", or_empty(batch.model.as_deref())),
        ("requests", requests(stored_batch)),
        ("results", results(store, stored_batch).await?),
        ("errors", error_text(batch.errors.as_deref())),
        ("usage", usage_text(batch.usage.as_deref())),
        ("input", input(stored_batch)),
        ("output file", or_empty(batch.output_file_id.as_deref())),
        ("error file", or_empty(batch.error_file_id.as_deref())),
        ("completed", layout.time(batch.completed_at)),
        ("received", layout.time(Some(batch.received_at))),
        ("fetched", layout.origin(&batch.fetch_state, batch.fetched_at)),
    ];
    let mut text = layout.section("batch", &batch.batch_id, &fields);
    let filter = ResultFilter::of(&batch.project, &batch.batch_id, ROWS_SHOWN);
    let rows = store.batch_results(&filter).await?;
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&result_table(&rows, layout.width));
    }
    if stored_batch.rows_stored > i64::from(ROWS_SHOWN) {
        let more = output::count(stored_batch.rows_stored - i64::from(ROWS_SHOWN));
        let id = printable::one_line(&batch.batch_id);
        text.push_str(&format!("… {more} more: landfall results {id}\n"));
    }
    Ok(text)
}

fn requests(batch: &StoredBatch) -> String {
    let batch = &batch.batch;
    let count = |number: Option<i64>| number.map_or_else(|| "?".to_owned(), output::count);
    if batch.requests_total.is_none() && batch.requests_completed.is_none() {
        return String::new();
    }
    format!(
        "{}: {} completed, {} failed",
        count(batch.requests_total),
        count(batch.requests_completed),
        count(batch.requests_failed)
    )
}

/// The input file, if it was asked for.
fn input(batch: &StoredBatch) -> String {
    let Some(state) = &batch.input_state else { return String::new() };
    let file_id = batch.batch.input_file_id.as_deref().unwrap_or("-");
    printable::one_line(&format!("{file_id}, {}", state.as_str().replace('_', " ")))
}

async fn results(store: &Store, batch: &StoredBatch) -> Result<String, CliError> {
    let mut text = format!("{} rows stored", output::count(batch.rows_stored));
    if batch.rows_quarantined > 0 {
        let quarantined = output::count(batch.rows_quarantined);
        text.push_str(&format!(", {quarantined} of them quarantined as invalid"));
    }
    text.push_str(&match Shortfall::of(store, batch).await? {
        None => ", complete".to_owned(),
        Some(Shortfall::Mismatch) if batch.results_confirmed_at.is_some() => {
            ", differs from the number of requests (files read again since)".to_owned()
        }
        Some(Shortfall::Mismatch) => ", differs from the number of requests".to_owned(),
        Some(Shortfall::Incomplete(why)) => format!(", incomplete: {why}"),
    });
    Ok(text)
}

/// A table of results, one line each.
pub(crate) fn result_table(rows: &[ResultRow], width: u16) -> String {
    /// Line, status and the gaps between the columns.
    const OTHERS_CHARS: usize = 12 + 6 + 6;
    let custom_id =
        |row: &ResultRow| output::shortened(row.custom_id.as_deref().unwrap_or("-"), CUSTOM_ID_CHARS_MAX);
    let custom_id_chars = rows.iter().map(|row| custom_id(row).chars().count()).max().unwrap_or(0).max(9);
    let result_chars = usize::from(width).saturating_sub(OTHERS_CHARS + custom_id_chars);
    let row = |row: &ResultRow| {
        vec![
            Text::from(format!("{} {}", row.source, row.line)),
            custom_id(row).into(),
            row.status_code.map_or_else(|| "-".to_owned(), |code| code.to_string()).into(),
            Text::sentence(&output::shortened(&result(row), result_chars)),
        ]
    };
    output::table("LINE | CUSTOM_ID | STATUS> | RESULT", rows.iter().map(row), width)
}

/// A result on one line.
fn result(row: &ResultRow) -> String {
    match (&row.error, &row.body) {
        (Some(_), _) => error_text(row.error.as_deref()),
        (None, Some(body)) => printable::sentence(&operations::model_output::summary(body)),
        (None, None) => String::new(),
    }
}
