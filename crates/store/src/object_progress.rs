//! What the tables say about an object that a caller waits for.

use webhook::{FetchState, MaybeKnown};

/// The events about an object, and its row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectProgress {
    /// An event about it is stored.
    pub has_stored_event: bool,
    /// An event about it is neither stored nor dead.
    pub has_open_event: bool,
    /// An event about it was dead-lettered.
    pub has_dead_event: bool,
    /// `None` when the object is not stored.
    pub row: Option<ObjectRow>,
}

/// The row of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRow {
    pub fetch_state: MaybeKnown<FetchState>,
    /// Whether nothing is still to be added to it: the files of a response, the lines of a batch's files, the end of an
    /// agent session's newest turn.
    pub is_complete: bool,
}
