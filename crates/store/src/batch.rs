//! Rows of `batches` and `batch_results`, and the chunks in which a batch's files are written.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use serde::Serialize;
use webhook::{FetchState, MaybeKnown, closed_set};

use crate::columns::{Record as _, columns, fields};
use crate::json_text;
use crate::value::Value;

closed_set! {
    /// Which of a batch's two files a line comes from: the column `batch_results.source`.
    pub enum ResultSource {
        Output => "output",
        Error => "error",
    }
}

closed_set! {
    /// Whether a batch has the rows it should have: the column `results_state` of the view `batch_counts`.
    pub enum ResultsState {
        /// One row a request, or as many as there are when OpenAI did not say how many requests there were.
        Complete => "complete",
        /// All that OpenAI's files hold is stored, but it is not one row a request.
        Mismatch => "mismatch",
        /// Rows are still to come.
        Importing => "importing",
        /// A file was gone before it was read.
        Expired => "expired",
        /// The batch itself could not be read.
        Unfetched => "unfetched",
    }
}

impl ResultSource {
    /// The column of `batches` that names this file.
    pub(crate) fn file_id_column(self) -> &'static str {
        match self {
            Self::Output => "output_file_id",
            Self::Error => "error_file_id",
        }
    }

    /// The column of `batches` that holds this file's first line which is not stored yet.
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
    /// As the view says it in SQL.
    pub(crate) fn of(batch: &BatchRecord, rows_stored: i64, results_complete: bool) -> Self {
        match (results_complete, batch.fetch_state.known()) {
            (false, Some(FetchState::Fetched)) => Self::Importing,
            (false, Some(FetchState::Expired)) => Self::Expired,
            (false, Some(FetchState::Off | FetchState::NotFound | FetchState::Forbidden) | None) => {
                Self::Unfetched
            }
            // A batch that was refused as a whole has requests and no files.
            (true, _) if batch.errors.is_none() && batch.requests_total.is_some_and(|n| n != rows_stored) => {
                Self::Mismatch
            }
            (true, _) => Self::Complete,
        }
    }
}

/// A batch, as fetched or as an event held it.
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
    /// JSON text: why the input was refused.
    #[serde(serialize_with = "json_text::nested")]
    pub errors: Option<String>,
    /// JSON text.
    #[serde(serialize_with = "json_text::nested")]
    pub metadata: Option<String>,
    pub input_file_id: Option<String>,
    pub output_file_id: Option<String>,
    pub error_file_id: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    /// Whichever end it came to.
    pub completed_at: Option<DateTime<Utc>>,
    /// When ingest took the event that brought this state of the object.
    pub received_at: DateTime<Utc>,
    pub fetch_state: MaybeKnown<FetchState>,
    /// Set exactly when the object was read from the API.
    pub fetched_at: Option<DateTime<Utc>>,
    /// Whether the object has reached its end.
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
    /// Lines of both files that are in `batch_results`.
    pub rows_stored: i64,
    /// Of those, lines that no JSON column holds: kept as bytes, or only in the raw file when they are too long.
    pub rows_quarantined: i64,
    /// The first line of the output file that is not stored yet, from 1.
    pub output_next_line: i64,
    /// The same of the error file.
    pub error_next_line: i64,
    /// Whether both files are stored to their end.
    pub results_complete: bool,
    /// Rows against `request_counts`.
    pub results_state: ResultsState,
    /// When its files were last read again and found to be what is stored.
    pub results_confirmed_at: Option<DateTime<Utc>>,
}

/// Where to take up a batch's files: those of the state that won, which may not be the one that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchProgress {
    pub output_file_id: Option<String>,
    pub error_file_id: Option<String>,
    pub output_next_line: i64,
    pub error_next_line: i64,
    pub results_complete: bool,
    /// Whether all that there is is stored, and is not one row a request.
    pub is_mismatch: bool,
    pub rows_quarantined: i64,
    /// Since when the object is as it is now, as far as it was asked for.
    pub fetched_at: Option<DateTime<Utc>>,
}

/// Consecutive lines of one file, written in one transaction.
#[derive(Debug, Clone, Serialize)]
pub struct BatchChunk {
    pub project: String,
    pub batch_id: String,
    pub source: ResultSource,
    /// Where the writer believes the batch to be; the chunk is refused when it is elsewhere.
    pub first_line: i64,
    /// By ascending line; empty lines of the file may be left out.
    pub rows: Vec<BatchResult>,
}

/// What became of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    Added,
    /// Another worker is ahead: lines before `next_line` are stored already, none of this chunk was added.
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
    /// `response.body`; the whole line when `quarantined`.
    #[serde(serialize_with = "json_text::nested_optional_bytes")]
    pub body: Option<Vec<u8>>,
    /// JSON text.
    #[serde(serialize_with = "json_text::nested")]
    pub error: Option<String>,
    pub input_tokens: Option<i64>,
    pub output_tokens: Option<i64>,
    /// The line cannot be read as a result.
    pub quarantined: bool,
}

/// A row on its way into `batch_results`, in the order of [`ResultRow`]'s columns.
pub(crate) type ResultValues<'a> = [Value<'a>; ResultRow::COLUMNS.len()];

impl BatchResult {
    /// A line in quarantine is kept as the bytes it is.
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
            self.quarantined.into(),
        ]
    }
}

/// Which file of which batch has another content.
#[derive(Debug, Clone)]
pub struct NewContent {
    pub project: String,
    pub batch_id: String,
    pub source: ResultSource,
    pub file_id: String,
    /// How many of its lines can be read as results.
    pub readable_lines: i64,
}

/// How the import of a batch's files ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchEnd {
    /// All that the batch has is stored.
    Complete,
    /// A file has expired: what there was of it is stored, and the batch says `expired`.
    Expired,
    /// Its files were read again, and hold no more than what is stored.
    Confirmed,
    /// The batch itself was not fetched, so its files were not either.
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
        quarantined: Flag,
    }
}

/// Which results to read. In order: the output file, then the error file, each by line.
#[derive(Debug, Clone, Serialize)]
pub struct ResultFilter {
    pub project: String,
    pub batch_id: String,
    pub custom_id: Option<String>,
    /// Only lines with such a status: one, or a class of them such as 400 to 499.
    pub status: Option<RangeInclusive<u16>>,
    /// Only lines that are no success, as in the view `batch_errors`.
    pub errors_only: bool,
    /// Only what comes after this one: the last row of the page before.
    pub after: Option<(ResultSource, i64)>,
    pub limit: u32,
}

impl ResultFilter {
    /// A batch's first `limit` results.
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
