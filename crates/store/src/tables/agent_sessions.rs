//! The tables `agent_sessions` and `agent_turns`.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::events;
use super::upsert::{Existing, insert, upsert};
use crate::agent_session::{AgentRecord, AgentSessionRecord, AgentTurnRecord};
use crate::columns::Record as _;
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::event::Completion;
use crate::schema::{AGENT_SESSIONS, AGENT_TURNS};
use crate::store::Store;
use crate::value::Value;

/// A session goes on after `idle`, so the later fetch wins. Turns and artifacts are not read for every event; those of an
/// earlier one are kept.
static UPSERT_SESSION: LazyLock<String> = LazyLock::new(|| {
    insert(&AGENT_SESSIONS, AgentSessionRecord::COLUMNS)
        + " ON CONFLICT (project, session_id) DO UPDATE SET
            status = excluded.status, agent_id = excluded.agent_id, agent_name = excluded.agent_name,
            model = excluded.model, environment_type = excluded.environment_type,
            environment_id = excluded.environment_id, error = excluded.error,
            required_actions = excluded.required_actions, usage = excluded.usage, metadata = excluded.metadata,
            last_turn_status = CASE WHEN excluded.last_turn_id IS NULL THEN agent_sessions.last_turn_status
                ELSE excluded.last_turn_status END,
            last_turn_id = coalesce(excluded.last_turn_id, agent_sessions.last_turn_id),
            artifacts = coalesce(excluded.artifacts, agent_sessions.artifacts),
            created_at = excluded.created_at, last_active_at = excluded.last_active_at,
            received_at = excluded.received_at, fetch_state = excluded.fetch_state,
            fetched_at = excluded.fetched_at, raw = excluded.raw, raw_bytes = excluded.raw_bytes
        WHERE (excluded.fetched_at IS NOT NULL, coalesce(excluded.fetched_at, excluded.received_at))
                > (agent_sessions.fetched_at IS NOT NULL,
                    coalesce(agent_sessions.fetched_at, agent_sessions.received_at))
            AND (excluded.raw IS DISTINCT FROM agent_sessions.raw
                OR excluded.raw_bytes IS DISTINCT FROM agent_sessions.raw_bytes
                OR (excluded.fetched_at IS NULL) <> (agent_sessions.fetched_at IS NULL)
                OR (excluded.fetched_at IS NULL AND excluded.fetch_state <> agent_sessions.fetch_state)
                OR coalesce(excluded.last_turn_id, agent_sessions.last_turn_id)
                    IS DISTINCT FROM agent_sessions.last_turn_id
                OR (excluded.last_turn_id IS NOT NULL
                    AND excluded.last_turn_status IS DISTINCT FROM agent_sessions.last_turn_status)
                OR coalesce(excluded.artifacts, agent_sessions.artifacts)
                    IS DISTINCT FROM agent_sessions.artifacts)"
});

static UPSERT_TURN: LazyLock<String> =
    LazyLock::new(|| upsert(&AGENT_TURNS, AgentTurnRecord::COLUMNS, Existing::Improve));

impl Store {
    /// Stores a session and its turns, together with their event.
    pub async fn save_agent(&self, agent: &AgentRecord, completion: &Completion) -> Result<(), StoreError> {
        let steps = async |transaction: &mut WriteTransaction| {
            transaction.execute(UPSERT_SESSION.as_str(), &agent.session.values()).await?;
            for turn in &agent.turns {
                transaction.execute(UPSERT_TURN.as_str(), &turn.values()).await?;
            }
            events::complete_in(transaction, completion).await
        };
        self.database.write("store an agent session", steps).await
    }

    /// The stored turns of a session, newest first; at most `limit`.
    pub async fn agent_turns(
        &self,
        project: &str,
        session_id: &str,
        limit: u32,
    ) -> Result<Vec<AgentTurnRecord>, StoreError> {
        let select = "SELECT * FROM agent_turns WHERE project = $1 AND session_id = $2 \
                      ORDER BY created_at DESC, turn_id DESC LIMIT $3";
        let values = [Value::text(project), Value::key(session_id), limit.into()];
        self.database.read("read an agent's turns", select, &values, AgentTurnRecord::read).await
    }

    /// The ids of the session's stored turns that have ended.
    pub async fn ended_agent_turns(
        &self,
        project: &str,
        session_id: &str,
    ) -> Result<HashSet<String>, StoreError> {
        let select = "SELECT turn_id FROM agent_turns WHERE project = $1 AND session_id = $2 AND terminal";
        let values = [Value::text(project), Value::key(session_id)];
        let ids = self.database.read("read an agent's turns", select, &values, |row| row.get("turn_id"));
        Ok(ids.await?.into_iter().collect())
    }
}
