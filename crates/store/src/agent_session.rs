//! Rows of `agent_sessions` and `agent_turns`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use webhook::{FetchState, MaybeKnown};

use crate::columns::columns;
use crate::json_text;

/// A session with the turns that were read with it, stored together.
#[derive(Debug, Clone)]
pub struct AgentRecord {
    pub session: AgentSessionRecord,
    /// Newest first.
    pub turns: Vec<AgentTurnRecord>,
}

/// An agent session. It has no terminal status: the later fetch wins.
#[derive(Debug, Clone, Serialize)]
pub struct AgentSessionRecord {
    pub project: String,
    pub session_id: String,
    /// Of the session: `idle` does not mean that its last turn succeeded.
    pub status: Option<String>,
    pub agent_id: Option<String>,
    pub agent_name: Option<String>,
    pub model: Option<String>,
    pub environment_type: Option<String>,
    pub environment_id: Option<String>,
    /// JSON text.
    #[serde(serialize_with = "json_text::nested")]
    pub error: Option<String>,
    /// JSON text: an array of what the session waits for.
    #[serde(serialize_with = "json_text::nested")]
    pub required_actions: Option<String>,
    /// JSON text.
    #[serde(serialize_with = "json_text::nested")]
    pub usage: Option<String>,
    /// JSON text.
    #[serde(serialize_with = "json_text::nested")]
    pub metadata: Option<String>,
    /// The newest turn, as of the last event that brought turns.
    pub last_turn_id: Option<String>,
    pub last_turn_status: Option<String>,
    /// JSON text: an array of the newest artifacts, each with its state; as of the last event that brought them.
    #[serde(serialize_with = "json_text::nested")]
    pub artifacts: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub last_active_at: Option<DateTime<Utc>>,
    /// When ingest received the event that brought this state of the object.
    pub received_at: DateTime<Utc>,
    pub fetch_state: MaybeKnown<FetchState>,
    /// Set if and only if the object was fetched from the API.
    pub fetched_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "json_text::nested_optional_bytes")]
    pub raw: Option<Vec<u8>>,
}

columns! {
    AgentSessionRecord {
        project: Text,
        session_id: Key,
        status: Text,
        agent_id: Text,
        agent_name: Text,
        model: Text,
        environment_type: Text,
        environment_id: Text,
        error: Json,
        required_actions: Json,
        usage: Json,
        metadata: Json,
        last_turn_id: Key,
        last_turn_status: Text,
        artifacts: Json,
        created_at: Time,
        last_active_at: Time,
        received_at: Time,
        fetch_state: Text,
        fetched_at: Time,
        raw: Json + raw_bytes,
    }
}

/// A turn of a session.
#[derive(Debug, Clone, Serialize)]
pub struct AgentTurnRecord {
    pub project: String,
    pub session_id: String,
    pub turn_id: String,
    pub status: Option<String>,
    pub agent_id: Option<String>,
    pub subagent_id: Option<String>,
    /// The final message of the agent.
    pub output_text: Option<String>,
    /// JSON text.
    #[serde(serialize_with = "json_text::nested")]
    pub error: Option<String>,
    /// JSON text.
    #[serde(serialize_with = "json_text::nested")]
    pub usage: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub started_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
    /// When ingest received the event that brought this state of the turn.
    pub received_at: DateTime<Utc>,
    pub fetch_state: MaybeKnown<FetchState>,
    pub fetched_at: Option<DateTime<Utc>>,
    /// Whether the turn has ended.
    pub terminal: bool,
    #[serde(serialize_with = "json_text::nested_optional_bytes")]
    pub raw: Option<Vec<u8>>,
}

columns! {
    AgentTurnRecord {
        project: Text,
        session_id: Key,
        turn_id: Key,
        status: Text,
        agent_id: Text,
        subagent_id: Text,
        output_text: Text,
        error: Json,
        usage: Json,
        created_at: Time,
        started_at: Time,
        completed_at: Time,
        received_at: Time,
        fetch_state: Text,
        fetched_at: Time,
        terminal: Flag,
        raw: Json + raw_bytes,
    }
}
