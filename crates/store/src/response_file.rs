//! Rows of `response_files`: the files that a response's code interpreter made.

use chrono::{DateTime, Utc};
use serde::Serialize;
use webhook::{MaybeKnown, closed_set};

use crate::columns::columns;

closed_set! {
    /// Whether a file of a response is stored: the column `response_files.state`.
    pub enum ResponseFileState {
        /// Still to be fetched; its event is not stored yet.
        Pending => "pending",
        /// Stored as a raw file.
        Fetched => "fetched",
        /// Its container was gone, or it could not be fetched for as long as a container exists.
        Expired => "expired",
        /// The API key may not read it.
        Forbidden => "forbidden",
    }
}

/// A file in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResponseFile {
    pub project: String,
    pub response_id: String,
    pub container_id: String,
    pub file_id: String,
    pub filename: Option<String>,
    pub state: MaybeKnown<ResponseFileState>,
    /// `files.file_id`, once it is fetched.
    pub stored_file_id: Option<String>,
    /// When it was first to be fetched.
    pub first_attempt_at: DateTime<Utc>,
}

columns! {
    ResponseFile {
        project: Text,
        response_id: Key,
        container_id: Key,
        file_id: Key,
        filename: Text,
        state: Text,
        stored_file_id: Key,
        first_attempt_at: Time,
    }
}
