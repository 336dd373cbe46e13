//! What lists of objects have of a row: enough to find an object, without what a model wrote.

use chrono::{DateTime, Utc};
use serde::Serialize;
use webhook::{FetchState, MaybeKnown};

use crate::page_position::PagePosition;

/// The tables of objects that can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectList {
    Responses,
    Batches,
    FineTuningJobs,
    EvalRuns,
}

/// A row of such a list.
#[derive(Debug, Clone, Serialize)]
pub struct ObjectSummary {
    pub project: String,
    pub id: String,
    pub status: Option<String>,
    pub model: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    /// When ingest received the event that brought this state of the object.
    pub received_at: DateTime<Utc>,
    pub fetch_state: MaybeKnown<FetchState>,
    pub fetched_at: Option<DateTime<Utc>>,
    /// Whether the object's status is terminal.
    pub terminal: bool,
}

/// Selects objects to list.
#[derive(Debug, Clone)]
pub struct ObjectFilter {
    pub list: ObjectList,
    pub project: Option<String>,
    pub status: Option<String>,
    pub model: Option<String>,
    /// Received at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Only objects after this one in the list: the last one of the previous page.
    pub after: Option<PagePosition>,
    pub limit: u32,
}
