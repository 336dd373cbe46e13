//! Where a page of a list ends, so that the next one begins after it, whatever was added meanwhile.

use chrono::{DateTime, Utc};

/// The last row of a page: its time, and its id among rows of the same time.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PagePosition {
    pub at: DateTime<Utc>,
    pub id: String,
}
