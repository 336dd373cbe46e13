//! Probes what an API key may read, with ids that cannot exist: OpenAI answers 404 to a key that has the permission, and
//! 401 or 403 to one that lacks it.

use webhook::closed_set;

use crate::agent_sessions::AGENTS_BETA;
use crate::client::{Client, Get};
use crate::endpoint::Endpoint;
use crate::error::{ApiError, ErrorKind};

/// The answers are errors, which are small.
const PROBE_BYTES_MAX: usize = 1 << 20;

closed_set! {
    /// A kind of object that a key needs a permission to read. Evals are not probed: OpenAI ended them on 2026-11-30.
    pub enum Scope {
        Responses => "responses",
        Batches => "batches",
        Files => "files",
        FineTuningJobs => "fine-tuning jobs",
        Models => "models",
        Containers => "containers",
        SafetyAlerts => "safety alerts",
        Agents => "agents",
    }
}

/// The result of a probe.
#[derive(Debug)]
pub enum Permission {
    Granted,
    Missing(ApiError),
    /// The answer says nothing about permissions.
    NotKnown(ApiError),
    /// The server has an object for an id that cannot exist.
    NotOpenAi,
}

impl Client {
    /// One GET.
    pub async fn probe(&self, scope: Scope) -> Permission {
        let error = match self.get(scope.probe(), |_| Ok(())).await {
            Ok(_) => return Permission::NotOpenAi,
            Err(error) => error,
        };
        match (error.status(), error.kind()) {
            (Some(404), _) => Permission::Granted,
            (_, ErrorKind::Unauthorized | ErrorKind::Forbidden) => Permission::Missing(error),
            _ => Permission::NotKnown(error),
        }
    }
}

impl Scope {
    /// The ids have the form of OpenAI's: one with another form is refused with 400 before permissions are checked.
    fn probe(self) -> Get {
        let get = |endpoint, path: &str| Get::new(endpoint, path.to_owned(), PROBE_BYTES_MAX);
        match self {
            Self::Responses => {
                get(Endpoint::Responses, "/responses/resp_000000000000000000000000000000000000000000000000")
            }
            Self::Batches => get(Endpoint::Batches, "/batches/batch_00000000000000000000000000000000"),
            Self::Files => get(Endpoint::Files, "/files/file-0000000000000000000000"),
            Self::FineTuningJobs => {
                get(Endpoint::FineTuningJobs, "/fine_tuning/jobs/ftjob-000000000000000000000000")
            }
            Self::Models => get(Endpoint::Models, "/models/no-such-model"),
            Self::Containers => get(
                Endpoint::ContainerFileContent,
                "/containers/cntr_00000000000000000000000000000000/files/cfile_00000000000000000000000000000000/content",
            ),
            Self::SafetyAlerts => {
                get(Endpoint::SafetyAlerts, "/safety/alerts/alert_00000000000000000000000000000000")
            }
            Self::Agents => {
                get(Endpoint::AgentSessions, "/agents/sessions/asess_00000000000000000000000000000000")
                    .beta(AGENTS_BETA)
            }
        }
    }
}
