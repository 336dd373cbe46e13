//! Objects that are known but were not read from the API, and how far the repair of one has come.

use chrono::{DateTime, Utc};
use webhook::{Family, FetchState, MaybeKnown};

/// An object whose `fetch_state` is not `fetched`; or a batch whose rows are not one a request, whose files may have been
/// read too early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfetchedObject {
    pub project: String,
    pub object_id: String,
    pub family: MaybeKnown<Family>,
    pub fetch_state: MaybeKnown<FetchState>,
    pub received_at: DateTime<Utc>,
}

/// How far an object has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchProgress {
    pub fetch_state: MaybeKnown<FetchState>,
    /// Of a batch: results stored so far, and how many requests it has.
    pub rows: Option<(i64, Option<i64>)>,
}
