//! Objects that are known but were not fetched from the API, and the progress of fetching them again.

use chrono::{DateTime, Utc};
use webhook::{Family, FetchState, MaybeKnown};

/// An object whose `fetch_state` is not `fetched`; or a batch without one row per request, whose files may have been
/// read too early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfetchedObject {
    pub project: String,
    pub object_id: String,
    pub family: MaybeKnown<Family>,
    pub fetch_state: MaybeKnown<FetchState>,
    pub received_at: DateTime<Utc>,
}

/// The fetch state of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchProgress {
    pub fetch_state: MaybeKnown<FetchState>,
    /// For a batch: results stored so far, and its number of requests.
    pub rows: Option<(i64, Option<i64>)>,
}
