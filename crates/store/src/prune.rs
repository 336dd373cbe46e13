//! Retention: what is to go, and what went.

use chrono::{DateTime, Utc};
use serde::Serialize;
use webhook::Family;

/// Whose rows and files are to go.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    pub family: Family,
    /// What was received before. What an unsettled or a newer event or a notification that is still to be sent is
    /// about stays, and so does a batch whose import is under way.
    pub before: DateTime<Utc>,
}

/// Rows and files that went, or would.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Responses, batches, fine-tuning jobs or eval runs.
    pub objects: u64,
    /// Lines of batches.
    pub results: u64,
    pub events: u64,
    pub notifications: u64,
    pub files: u64,
    pub file_bytes: u64,
}

impl Pruned {
    /// Whether nothing went, so that nothing is left to go.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what another step took away.
    pub fn add(&mut self, step: &Self) {
        self.objects += step.objects;
        self.results += step.results;
        self.events += step.events;
        self.notifications += step.notifications;
        self.files += step.files;
        self.file_bytes += step.file_bytes;
    }
}
