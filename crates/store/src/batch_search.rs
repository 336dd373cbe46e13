//! Searches within one batch, and counts of its errors: each examines a bounded number of lines, however large the batch is.

use crate::batch::{ResultRow, ResultSource};

/// Which lines of a batch to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResultKind {
    #[default]
    All,
    /// As in the view `batch_errors`.
    Failed,
    Quarantined,
}

/// Selects results, in the order of the files (output, then error) and their lines.
#[derive(Debug, Clone, Default)]
pub struct ResultSearch {
    pub kind: ResultKind,
    /// Only lines with this HTTP status.
    pub status: Option<u16>,
    /// Only lines whose body or error contains this text, whatever its case.
    pub text: Option<String>,
    /// Only lines after this one.
    pub after: Option<(ResultSource, i64)>,
    pub limit: u32,
}

/// What a search found.
#[derive(Debug, Clone)]
pub struct SearchPage {
    /// Longer bodies than [`ResultSearch::BODY_CHARS_MAX`] are left out.
    pub rows: Vec<ResultRow>,
    /// The last line that was examined; `None` at the end of the batch.
    pub next: Option<(ResultSource, i64)>,
}

/// Failed lines that have the same cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorCount {
    /// Of the error object, if the line has one.
    pub code: Option<String>,
    pub status_code: Option<i64>,
    pub quarantined: bool,
    pub lines: i64,
}

impl ErrorCount {
    /// The lines of each file whose errors are counted: its first ones.
    pub const LINES_MAX: i64 = 10_000;
}

impl ResultSearch {
    /// The lines that one search examines at most.
    pub const LINES_MAX: i64 = 10_000;
    pub const BODY_CHARS_MAX: usize = 100_000;
}
