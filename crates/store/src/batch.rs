//! Rows of `batches` and `batch_results`, and the chunks in which the files of a batch are written.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use serde::Serialize;
use webhook::{FetchState, MaybeKnown, closed_set};

use crate::columns::{Record as _, columns, fields};
use crate::json_text;
use crate::part_state::PartState;
use crate::value::Value;

closed_set! {
    /// The file of a batch that a line comes from: the column `batch_results.source`.
    pub enum ResultSource {
        Output => "output",
        Error => "error",
    }
}

closed_set! {
    /// Whether a batch has all its rows: the column `results_state` of the view `batch_counts`.
    pub enum ResultsState {
        /// One row per request; or all available rows if OpenAI did not report the number of requests.
        Complete => "complete",
        /// All lines of OpenAI's files are stored, but there is not one row per request.
        Mismatch => "mismatch",
        /// Rows are still being imported.
        Importing => "importing",
        /// A file expired before it was read.
        Expired => "expired",
        /// The batch itself could not be fetched.
        Unfetched => "unfetched",
    }
}

impl ResultSource {
    /// The column of `batches` with the id of this file.
    pub(crate) fn file_id_column(self) -> &'static str {
        match self {
            Self::Output => "output_file_id",
            Self::Error => "error_file_id",
        }
    }

    /// The column of `batches` with the first line of this file that is not stored yet.
    pub(crate) fn next_line_column(self) -> &'static str {
        match self {
            Self::Output => "output_next_line",
            Self::Error => "error_next_line",
        }
    }
}

fields! {
    ResultSource: Value::member, member;
}

impl ResultsState {
    /// Mirrors the SQL of the view.
    pub(crate) fn of(batch: &BatchRecord, rows_stored: i64, results_complete: bool) -> Self {
        match (results_complete, batch.fetch_state.known()) {
            (false, Some(FetchState::Fetched)) => Self::Importing,
            (false, Some(FetchState::Expired)) => Self::Expired,
            (false, Some(FetchState::Off | FetchState::NotFound | FetchState::Forbidden) | None) => {
                Self::Unfetched
            }
            // A batch that was rejected as a whole has requests but no files.
            (true, _) if batch.errors.is_none() && batch.requests_total.is_some_and(|n| n != rows_stored) => {
                Self::Mismatch
            }
            (true, _) => Self::Complete,
        }
    }
}

/// A batch, as fetched or as embedded in an event.
#[derive(Debug, Clone, Serialize)]
pub struct BatchRecord {
    pub project: String,
    pub batch_id: String,
    pub status: Option<String>,
    pub endpoint: Option<String>,
    pub model: Option<String>,
    pub requests_total: Option<i64>,
    pub requests_completed: Option<i64>,
    pub requests_failed: Option<i64>,
    /// JSON text.
    #[serde(serialize_with = "json_text::nested")]
    pub usage: Option<String>,
    /// JSON text: why the input was rejected.
    #[serde(serialize_with = "json_text::nested")]
    pub errors: Option<String>,
    /// JSON text.
    #[serde(serialize_with = "json_text::nested")]
    pub metadata: Option<String>,
    pub input_file_id: Option<String>,
    pub output_file_id: Option<String>,
    pub error_file_id: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    /// When the batch reached a terminal status, whichever it was.
    pub completed_at: Option<DateTime<Utc>>,
    /// When ingest received the event that brought this state of the object.
    pub received_at: DateTime<Utc>,
    pub fetch_state: MaybeKnown<FetchState>,
    /// Set if and only if the object was fetched from the API.
    pub fetched_at: Option<DateTime<Utc>>,
    /// Whether the object's status is terminal.
    pub terminal: bool,
    #[serde(serialize_with = "json_text::nested_optional_bytes")]
    pub raw: Option<Vec<u8>>,
}

columns! {
    BatchRecord {
        project: Text,
        batch_id: Key,
        status: Text,
        endpoint: Text,
        model: Text,
        requests_total: Integer,
        requests_completed: Integer,
        requests_failed: Integer,
        usage: Json,
        errors: Json,
        metadata: Json,
        input_file_id: Text,
        output_file_id: Text,
        error_file_id: Text,
        created_at: Time,
        completed_at: Time,
        received_at: Time,
        fetch_state: Text,
        fetched_at: Time,
        terminal: Flag,
        raw: Json + raw_bytes,
    }
}

/// A row of `batches`.
#[derive(Debug, Clone, Serialize)]
pub struct StoredBatch {
    #[serde(flatten)]
    pub batch: BatchRecord,
    /// The number of lines of both files in `batch_results`.
    pub rows_stored: i64,
    /// Lines among them that no JSON column can hold: stored as bytes, or only in the raw file if too long.
    pub rows_quarantined: i64,
    /// The first line of the output file that is not stored yet, from 1.
    pub output_next_line: i64,
    /// The same for the error file.
    pub error_next_line: i64,
    /// Whether both files are stored completely.
    pub results_complete: bool,
    /// Compares the rows with `request_counts`.
    pub results_state: ResultsState,
    /// When the files were last fetched again and found unchanged.
    pub results_confirmed_at: Option<DateTime<Utc>>,
    /// What became of the input file; `None` if it was not asked for (`FETCH_BATCH_INPUTS`).
    pub input_state: Option<MaybeKnown<PartState>>,
}

/// Where to resume the import of a batch's files: those of the winning state, which may not be the given one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchProgress {
    pub output_file_id: Option<String>,
    pub error_file_id: Option<String>,
    pub output_next_line: i64,
    pub error_next_line: i64,
    pub results_complete: bool,
    /// Whether the files are stored completely, but not with one row per request.
    pub is_mismatch: bool,
    pub rows_quarantined: i64,
    /// When the stored state was fetched, if it was.
    pub fetched_at: Option<DateTime<Utc>>,
    pub input_file_id: Option<String>,
    pub input_state: Option<MaybeKnown<PartState>>,
}

/// Consecutive lines of one file, written in one transaction.
#[derive(Debug, Clone, Serialize)]
pub struct BatchChunk {
    pub project: String,
    pub batch_id: String,
    pub source: ResultSource,
    /// The line at which the writer expects the batch; the chunk is rejected if the batch is at another line.
    pub first_line: i64,
    /// In ascending line order; empty lines may be left out.
    pub rows: Vec<BatchResult>,
}

/// The outcome of appending a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    Added,
    /// Another worker was faster: the lines before `next_line` are already stored, and nothing of this chunk was added.
    Overtaken {
        next_line: i64,
    },
}

/// One line of a batch's file.
#[derive(Debug, Clone, Serialize)]
pub struct BatchResult {
    /// From 1, within its file.
    pub line: i64,
    /// May repeat.
    pub custom_id: Option<String>,
    pub status_code: Option<i64>,
    pub request_id: Option<String>,
    /// `response.body`, or the whole line if `quarantined`.
    #[serde(serialize_with = "json_text::nested_optional_bytes")]
    pub body: Option<Vec<u8>>,
    /// JSON text.
    #[serde(serialize_with = "json_text::nested")]
    pub error: Option<String>,
    pub input_tokens: Option<i64>,
    pub output_tokens: Option<i64>,
    pub cached_tokens: Option<i64>,
    pub cache_write_tokens: Option<i64>,
    pub reasoning_tokens: Option<i64>,
    /// The line could not be parsed as a result.
    pub quarantined: bool,
}

/// The values of a `batch_results` row, in the order of [`ResultRow`]'s columns.
pub(crate) type ResultValues<'a> = [Value<'a>; ResultRow::COLUMNS.len()];

impl BatchResult {
    /// A quarantined line is stored as raw bytes.
    pub(crate) fn values<'a>(&'a self, chunk: &'a BatchChunk) -> ResultValues<'a> {
        let body = self.body.as_deref();
        let [json, bytes] = if self.quarantined {
            [Value::Json(None), Value::bytes(body)]
        } else {
            Value::json_or_bytes(body)
        };
        [
            Value::text(&chunk.project),
            Value::key(&chunk.batch_id),
            Value::member(chunk.source),
            self.line.into(),
            Value::opt_text(self.custom_id.as_deref()),
            self.status_code.into(),
            Value::opt_text(self.request_id.as_deref()),
            json,
            bytes,
            Value::extracted(self.error.as_deref()),
            self.input_tokens.into(),
            self.output_tokens.into(),
            self.cached_tokens.into(),
            self.cache_write_tokens.into(),
            self.reasoning_tokens.into(),
            self.quarantined.into(),
        ]
    }
}

/// Identifies the batch file to replace, and its new content.
#[derive(Debug, Clone)]
pub struct NewContent {
    pub project: String,
    pub batch_id: String,
    pub source: ResultSource,
    pub file_id: String,
    /// How many of its lines can be parsed as results.
    pub readable_lines: i64,
}

/// How the import of a batch's files ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchEnd {
    /// All lines of the batch are stored.
    Complete,
    /// A file has expired: the lines read so far are stored, and the batch is `expired`.
    Expired,
    /// The files were fetched again and have no more lines than stored.
    Confirmed,
    /// Neither the batch nor its files were fetched.
    NotFetched,
}

/// A row of `batch_results`.
#[derive(Debug, Clone, Serialize)]
pub struct ResultRow {
    pub project: String,
    pub batch_id: String,
    pub source: ResultSource,
    pub line: i64,
    pub custom_id: Option<String>,
    pub status_code: Option<i64>,
    pub request_id: Option<String>,
    #[serde(serialize_with = "json_text::nested_optional_bytes")]
    pub body: Option<Vec<u8>>,
    #[serde(serialize_with = "json_text::nested")]
    pub error: Option<String>,
    pub input_tokens: Option<i64>,
    pub output_tokens: Option<i64>,
    pub cached_tokens: Option<i64>,
    pub cache_write_tokens: Option<i64>,
    pub reasoning_tokens: Option<i64>,
    pub quarantined: bool,
}

columns! {
    ResultRow {
        project: Text,
        batch_id: Key,
        source: Text,
        line: Integer,
        custom_id: Text,
        status_code: Integer,
        request_id: Text,
        body: Json + body_bytes,
        error: Json,
        input_tokens: Integer,
        output_tokens: Integer,
        cached_tokens: Integer,
        cache_write_tokens: Integer,
        reasoning_tokens: Integer,
        quarantined: Flag,
    }
}

/// Selects results. Ordered by file (output, then error) and line.
#[derive(Debug, Clone, Serialize)]
pub struct ResultFilter {
    pub project: String,
    pub batch_id: String,
    pub custom_id: Option<String>,
    /// Only lines with this status: a single one, or a range such as 400 to 499.
    pub status: Option<RangeInclusive<u16>>,
    /// Only failed lines, as in the view `batch_errors`.
    pub errors_only: bool,
    /// Only lines after this one: the last row of the previous page.
    pub after: Option<(ResultSource, i64)>,
    pub limit: u32,
}

impl ResultFilter {
    /// The first `limit` results of a batch.
    pub fn of(project: &str, batch_id: &str, limit: u32) -> Self {
        Self {
            project: project.to_owned(),
            batch_id: batch_id.to_owned(),
            custom_id: None,
            status: None,
            errors_only: false,
            after: None,
            limit,
        }
    }
}
