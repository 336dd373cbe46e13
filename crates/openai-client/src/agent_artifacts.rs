//! The artifacts of an agent session: immutable copies of the files that its completed turns left behind.

use chrono::{DateTime, Utc};

use crate::agent_sessions::AGENTS_BETA;
use crate::client::{Client, Fetched, Get, segment};
use crate::download::Download;
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::lenient::{fields, integer, text, text_of, time};
use crate::page::Page;

/// Number of artifacts read, newest first: one page, the maximum of the API.
const ARTIFACTS_MAX: usize = 100;
const ARTIFACTS_BYTES_MAX: usize = 4 << 20;

/// A file that a turn published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentArtifact {
    pub id: String,
    pub turn_id: Option<String>,
    /// In the environment of the agent.
    pub path: Option<String>,
    pub size_bytes: Option<i64>,
    pub created_at: Option<DateTime<Utc>>,
}

impl Client {
    /// The newest artifacts of a session, newest first. At most 100.
    pub async fn agent_artifacts(&self, session_id: &str) -> Result<Fetched<Page<AgentArtifact>>, ApiError> {
        let session = segment(session_id)?;
        let path = format!("/agents/sessions/{session}/artifacts?order=desc&limit={ARTIFACTS_MAX}");
        let get = Get::new(Endpoint::AgentArtifacts, path, ARTIFACTS_BYTES_MAX).beta(AGENTS_BETA);
        self.get(get, |raw| Page::parse(raw, ARTIFACTS_MAX, artifact)).await
    }

    /// `GET /agents/sessions/{session_id}/artifacts/{artifact_id}/content`.
    ///
    /// # Errors
    /// [`ApiError`] if the download cannot start.
    pub async fn agent_artifact_content(
        &self,
        session_id: &str,
        artifact_id: &str,
    ) -> Result<Download, ApiError> {
        let (session, artifact) = (segment(session_id)?, segment(artifact_id)?);
        let path = format!("/agents/sessions/{session}/artifacts/{artifact}/content");
        self.download(Endpoint::AgentArtifactContent, path, Some(AGENTS_BETA)).await
    }
}

/// `None` if it has no id.
fn artifact(raw: &str) -> Option<AgentArtifact> {
    let json = text_of(raw.as_bytes());
    let [id, turn_id, path, size_bytes, created_at] =
        fields(&json, ["id", "turn_id", "path", "size_bytes", "created_at"]).ok()?;
    Some(AgentArtifact {
        id: text(id)?,
        turn_id: text(turn_id),
        path: text(path),
        size_bytes: integer(size_bytes),
        created_at: time(created_at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_needs_only_an_id() {
        let whole = artifact(
            r#"{"id":"art_1","object":"agent.session.artifact","turn_id":"turn_1","created_at":1795305600,
            "path":"/workspace/outputs/report.csv","size_bytes":12,"environment_id":"aenv_1","session_id":"asess_1"}"#,
        );
        let whole = whole.unwrap();
        assert_eq!((whole.size_bytes, whole.turn_id.as_deref()), (Some(12), Some("turn_1")));
        let odd = artifact(r#"{"id":"art_1","size_bytes":"many","path":7}"#).unwrap();
        assert_eq!((odd.size_bytes, odd.path, odd.created_at), (None, None, None));
        assert_eq!(artifact(r#"{"path":"/x"}"#), None);
    }
}
