//! The endpoints we read, and the observer of requests (for metrics).

use std::sync::Arc;

use webhook::closed_set;

/// Called once for each request, when its body was read completely, failed, or was abandoned.
pub type Observer = Arc<dyn Fn(&Observed) + Send + Sync>;

/// One request to OpenAI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    pub endpoint: Endpoint,
    /// `None` if there was no response.
    pub status: Option<u16>,
    /// Bytes received of the response body.
    pub bytes: u64,
}

closed_set! {
    /// The endpoint of a request: a metric label.
    pub enum Endpoint {
        Responses => "responses",
        Batches => "batches",
        Files => "files",
        FileContent => "file_content",
        ContainerFileContent => "container_file_content",
        FineTuningJobs => "fine_tuning_jobs",
        FineTuningCheckpoints => "fine_tuning_checkpoints",
        FineTuningEvents => "fine_tuning_events",
        Models => "models",
        Evals => "evals",
        EvalRuns => "eval_runs",
        AgentSessions => "agent_sessions",
        AgentTurns => "agent_turns",
        AgentItems => "agent_items",
        AgentArtifacts => "agent_artifacts",
        AgentArtifactContent => "agent_artifact_content",
        SafetyAlerts => "safety_alerts",
    }
}

/// Counts the bytes of a request and reports it on drop, so that every outcome is reported exactly once.
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
