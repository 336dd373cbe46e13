//! Agent sessions and their turns. The API is a beta: statuses and types are kept as they are, known or not.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::client::{Client, Fetched, Get, segment};
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::lenient::{array_text, error_text, fields, inner, object_text, text, text_of, time};
use crate::page::Page;
use crate::phase::Phase;

/// The value of the header `OpenAI-Beta` that the endpoints of agents require.
pub(crate) const AGENTS_BETA: &str = "agents=v1";
/// Tools, skills and required actions, whose arguments have any size.
const SESSION_BYTES_MAX: usize = 16 << 20;
/// Number of turns read, newest first: one page, the maximum of the API.
pub(crate) const TURNS_MAX: usize = 100;
const TURNS_BYTES_MAX: usize = 16 << 20;

/// A conversation with an agent, which ends only when it is deleted. `idle` says that no turn is running, not that the
/// last one succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSession {
    pub id: Option<String>,
    pub status: Option<String>,
    pub agent_id: Option<String>,
    pub agent_name: Option<String>,
    pub model: Option<String>,
    /// Such as `none`, `openai_hosted` or `self_hosted`.
    pub environment_type: Option<String>,
    pub environment_id: Option<String>,
    /// JSON text.
    pub error: Option<String>,
    /// JSON text: an array of what the session waits for.
    pub required_actions: Option<String>,
    /// JSON text. OpenAI may change it later.
    pub usage: Option<String>,
    /// JSON text.
    pub metadata: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub last_active_at: Option<DateTime<Utc>>,
}

/// What an agent did with one input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentTurn {
    pub id: Option<String>,
    pub status: Option<String>,
    pub agent_id: Option<String>,
    /// Set if a subagent ran the turn.
    pub subagent_id: Option<String>,
    /// JSON text.
    pub error: Option<String>,
    /// JSON text. OpenAI may change it later.
    pub usage: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub started_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
}

impl Client {
    /// `GET /agents/sessions/{id}`: the API key needs the permission `api.agents.read`.
    pub async fn agent_session(&self, id: &str) -> Result<Fetched<AgentSession>, ApiError> {
        let path = format!("/agents/sessions/{}", segment(id)?);
        let get = Get::new(Endpoint::AgentSessions, path, SESSION_BYTES_MAX).beta(AGENTS_BETA);
        self.get_object(get, id, AgentSession::parse, |session| session.id.as_deref()).await
    }

    /// The newest turns of a session, newest first, each with its JSON. At most 100.
    pub async fn agent_turns(&self, session_id: &str) -> Result<Fetched<Page<(AgentTurn, Bytes)>>, ApiError> {
        let path = format!("/agents/sessions/{}/turns?order=desc&limit={TURNS_MAX}", segment(session_id)?);
        let get = Get::new(Endpoint::AgentTurns, path, TURNS_BYTES_MAX).beta(AGENTS_BETA);
        let turn = |raw: &str| {
            let turn = AgentTurn::parse(raw.as_bytes()).ok()?;
            turn.id.is_some().then(|| (turn, Bytes::copy_from_slice(raw.as_bytes())))
        };
        self.get(get, |raw| Page::parse(raw, TURNS_MAX, turn)).await
    }
}

impl AgentSession {
    /// Parses the object, or the `data` of an event about it. Fails only if it is not a JSON object.
    pub fn parse(raw: &[u8]) -> Result<Self, serde_json::Error> {
        let json = text_of(raw);
        let [id, status, agent, environment, error, actions, usage, metadata, created_at, last_active_at] =
            fields(
                &json,
                [
                    "id",
                    "status",
                    "agent",
                    "environment",
                    "error",
                    "required_actions",
                    "usage",
                    "metadata",
                    "created_at",
                    "last_active_at",
                ],
            )?;
        let [agent_id, agent_name, model] = inner(agent, ["id", "name", "model"]);
        let [type_in_session, id_in_session] = inner(environment, ["type", "id"]);
        let [type_in_event, id_in_event] = fields(&json, ["environment_type", "environment_id"])?;
        Ok(Self {
            id: text(id),
            status: text(status),
            agent_id: text(agent_id),
            agent_name: text(agent_name),
            model: text(model),
            environment_type: text(type_in_session.or(type_in_event)),
            environment_id: text(id_in_session.or(id_in_event)),
            error: error_text(error),
            required_actions: array_text(actions),
            usage: object_text(usage),
            metadata: object_text(metadata),
            created_at: time(created_at),
            last_active_at: time(last_active_at),
        })
    }

    /// Whether completed turns may have published files: only environments of OpenAI do.
    pub fn may_have_artifacts(&self) -> bool {
        !matches!(self.environment_type.as_deref(), Some("none" | "self_hosted"))
    }
}

impl AgentTurn {
    /// Fails only if it is not a JSON object.
    pub fn parse(raw: &[u8]) -> Result<Self, serde_json::Error> {
        let json = text_of(raw);
        let names = [
            "id",
            "status",
            "agent_id",
            "subagent_id",
            "error",
            "usage",
            "created_at",
            "started_at",
            "completed_at",
        ];
        let [id, status, agent_id, subagent_id, error, usage, created_at, started_at, completed_at] =
            fields(&json, names)?;
        Ok(Self {
            id: text(id),
            status: text(status),
            agent_id: text(agent_id),
            subagent_id: text(subagent_id),
            error: error_text(error),
            usage: object_text(usage),
            created_at: time(created_at),
            started_at: time(started_at),
            completed_at: time(completed_at),
        })
    }

    /// The phase of the turn. A turn with an unknown status has ended if it says when.
    pub fn phase(&self) -> Phase {
        match self.status.as_deref() {
            Some("completed" | "failed" | "cancelled") => Phase::Ended,
            Some("queued" | "in_progress" | "waiting") => Phase::Running,
            _ if self.completed_at.is_some() => Phase::Ended,
            _ => Phase::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_parsed_with_what_it_waits_for() {
        let session = AgentSession::parse(
            br#"{"id":"asess_1","object":"agent.session","status":"requires_action","error":null,
            "agent":{"id":"agent_1","name":null,"model":"gpt-6-luna"},"environment":{"type":"none"},
            "required_actions":[{"type":"function_call","call_id":"call_1","arguments":{"a":1}}],
            "usage":{"total_tokens":3},"metadata":{"k":"v"},"created_at":1795305600,"last_active_at":1795305700}"#,
        );
        let session = session.unwrap();
        assert_eq!(session.status.as_deref(), Some("requires_action"));
        assert_eq!((session.model.as_deref(), session.agent_name), (Some("gpt-6-luna"), None));
        assert!(session.required_actions.as_deref().unwrap().contains("call_1"));
        assert_eq!((session.environment_type.as_deref(), session.error), (Some("none"), None));
    }

    #[test]
    fn the_data_of_an_event_is_a_session_without_a_status() {
        let session = AgentSession::parse(
            br#"{"id":"asess_1","environment_type":"openai_hosted","environment_id":"aenv_1"}"#,
        );
        let session = session.unwrap();
        assert_eq!((session.status.as_deref(), session.environment_id.as_deref()), (None, Some("aenv_1")));
        assert!(session.may_have_artifacts());
    }

    #[test]
    fn unknown_values_are_kept_and_malformed_ones_are_none() {
        let session = AgentSession::parse(
            br#"{"status":"dreaming","agent":7,"environment":[],"required_actions":{},"error":"boom","usage":[]}"#,
        );
        let session = session.unwrap();
        assert_eq!(session.status.as_deref(), Some("dreaming"));
        assert_eq!((session.agent_id, session.required_actions, session.usage), (None, None, None));
        assert_eq!(session.error.as_deref(), Some("\"boom\""));
        assert!(AgentSession::parse(b"[]").is_err());
    }

    #[test]
    fn a_turn_with_an_unknown_status_has_ended_if_it_says_when() {
        let phase = |json: &str| AgentTurn::parse(json.as_bytes()).unwrap().phase();
        assert_eq!(phase(r#"{"status":"cancelled"}"#), Phase::Ended);
        assert_eq!(phase(r#"{"status":"waiting","completed_at":1795305600}"#), Phase::Running);
        assert_eq!(phase(r#"{"status":"steered_away","completed_at":1795305600}"#), Phase::Ended);
        assert_eq!(phase(r#"{"status":"steered_away"}"#), Phase::Unknown);
        assert_eq!(phase("{}"), Phase::Unknown);
    }
}
