//! The endpoints we read, and what an observer (metrics) is told about each request.

use std::sync::Arc;

use webhook::closed_set;

/// Called once a request, when its body has been read, has failed or was given up.
pub type Observer = Arc<dyn Fn(&Observed) + Send + Sync>;

/// One request to OpenAI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    pub endpoint: Endpoint,
    /// `None` when no answer came.
    pub status: Option<u16>,
    /// Bytes of the answer's body that were received.
    pub bytes: u64,
}

closed_set! {
    /// What was asked for: a label of metrics.
    pub enum Endpoint {
        Responses => "responses",
        Batches => "batches",
        Files => "files",
        FileContent => "file_content",
        FineTuningJobs => "fine_tuning_jobs",
        Models => "models",
        Evals => "evals",
        EvalRuns => "eval_runs",
    }
}

/// Counts one request's bytes and reports when it is dropped, so that every way to end is reported once.
pub(crate) struct Observation {
    observer: Option<Observer>,
    pub(crate) observed: Observed,
}

impl Observation {
    pub(crate) fn new(observer: Option<Observer>, endpoint: Endpoint) -> Self {
        Self { observer, observed: Observed { endpoint, status: None, bytes: 0 } }
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        if let Some(observer) = &self.observer {
            observer(&self.observed);
        }
    }
}
