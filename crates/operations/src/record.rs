//! What is stored under an id, also as JSON: for `landfall show --json` and for the HTTP API.

use serde::Serialize;
use serde_json::value::RawValue;
use store::{Found, ResponseFile, Store, StoreError};

use crate::object_id::ObjectId;

/// Why a record cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the record cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

#[derive(Serialize)]
struct Files {
    files: Vec<ResponseFile>,
}

/// What is stored under an id. The prefix of most ids names their table; all tables are read only if it is not there.
///
/// # Errors
/// When the database cannot be read.
pub async fn find(store: &Store, id: &str) -> Result<Vec<Found>, StoreError> {
    if let Ok(object) = id.parse::<ObjectId>() {
        let found = store.find_object(object.kind().family(), id).await?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    store.find(id).await
}

/// The record as JSON, byte for byte what its row holds; a response with its files, if it has any, and a job with the lists
/// below it.
///
/// # Errors
/// When the database cannot be read.
pub async fn record(store: &Store, found: &Found) -> Result<Box<RawValue>, RecordError> {
    let mut text = serde_json::to_string(found)?;
    let parts = match found {
        Found::Response(response) => {
            let files = store.response_files(&response.project, &response.response_id).await?;
            if files.is_empty() { None } else { Some(serde_json::to_string(&Files { files })?) }
        }
        Found::FineTuningJob(job) => {
            let parts = store.fine_tuning_parts(&job.project, &job.job_id).await?;
            Some(serde_json::to_string(&parts)?)
        }
        Found::Event(_)
        | Found::Batch(_)
        | Found::Model(_)
        | Found::EvalRun(_)
        | Found::SafetyAlert(_)
        | Found::AgentSession(_)
        | Found::AgentTurn(_)
        | Found::File(_) => None,
    };
    if let Some(parts) = parts {
        // Both are objects with fields.
        text.truncate(text.len() - 1);
        text.push(',');
        text.push_str(&parts[1..]);
    }
    Ok(RawValue::from_string(text)?)
}
