//! Retention: which rows to prune, and how many were pruned.

use chrono::{DateTime, Utc};
use serde::Serialize;
use webhook::Family;

/// Which rows and files to prune.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    pub family: Family,
    /// Prune what was received before this time. Objects of an unsettled or newer event or of a pending notification
    /// are kept, and so are batches with an import in progress.
    pub before: DateTime<Utc>,
}

/// The number of rows and files that were, or would be, pruned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Responses, batches, fine-tuning jobs or eval runs.
    pub objects: u64,
    /// Rows of batch results.
    pub results: u64,
    /// Requests of batches, from their input files.
    pub inputs: u64,
    pub events: u64,
    pub notifications: u64,
    pub files: u64,
    pub file_bytes: u64,
}

impl Pruned {
    /// Whether nothing was pruned, so that nothing is left to prune.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the counts of another step.
    pub fn add(&mut self, step: &Self) {
        self.objects += step.objects;
        self.results += step.results;
        self.inputs += step.inputs;
        self.events += step.events;
        self.notifications += step.notifications;
        self.files += step.files;
        self.file_bytes += step.file_bytes;
    }
}
