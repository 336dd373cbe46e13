//! The endpoints we read, and what an observer (metrics) is told about each request.

use std::fmt;
use std::sync::Arc;

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

/// What was asked for: a label of metrics, so a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Responses,
    Batches,
    Files,
    FileContent,
    FineTuningJobs,
    Models,
    Evals,
    EvalRuns,
}

impl Endpoint {
    /// Every member.
    pub const ALL: &'static [Self] = &[
        Self::Responses,
        Self::Batches,
        Self::Files,
        Self::FileContent,
        Self::FineTuningJobs,
        Self::Models,
        Self::Evals,
        Self::EvalRuns,
    ];

    /// The name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Responses => "responses",
            Self::Batches => "batches",
            Self::Files => "files",
            Self::FileContent => "file_content",
            Self::FineTuningJobs => "fine_tuning_jobs",
            Self::Models => "models",
            Self::Evals => "evals",
            Self::EvalRuns => "eval_runs",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
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
