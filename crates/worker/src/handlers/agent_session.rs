//! `agent.session.*`: the session, the turns that ended since, their final messages, and the files they published. `idle`
//! says that no turn is running; whether it succeeded is the turn's status.

use std::collections::HashSet;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use openai_client::{AgentSession, AgentTurn, BodyReservation, Client, Phase};
use service::excerpt;
use store::{AgentRecord, AgentSessionRecord, AgentTurnRecord, ResultPayload};
use webhook::{EventKind, FetchState, NotificationType};

use crate::context::Context;
use crate::failure::HandlerError;
use crate::handlers::agent_artifacts;
use crate::handlers::fetch::{self, Found, Wanted};
use crate::handlers::raw_object;
use crate::job::Job;
use crate::settlement::{Effect, Write};

pub(super) async fn handle(context: &Context, job: &Job<'_>, id: &str) -> Result<Write, HandlerError> {
    let call = |client: Client| async move { client.agent_session(id).await };
    let wanted = Wanted::IfPermitted("agent session");
    let mut found = fetch::object(context, job, wanted, call, AgentSession::parse).await?;
    if found.state == FetchState::Forbidden {
        tracing::warn!(
            object.id = excerpt(id).as_ref(),
            project = job.entry.project,
            "the API key may not read agent sessions: grant it the permission api.agents.read; afterwards, \
             landfall fetch --missing fetches the missing ones"
        );
    }
    found.raw = raw_object::for_column(context, job, id, &found).await?;
    // The turns and files need the body memory.
    drop(std::mem::take(&mut found.reservation));
    let (state, reason) = (found.state, found.reason);
    let (mut turns, mut artifacts) = (None, None);
    if let (Some(client), FetchState::Fetched) = (fetch::client(context, job)?, state) {
        let may_have_artifacts = found.object.may_have_artifacts();
        match job.kind() {
            Some(EventKind::AgentSessionIdle | EventKind::AgentSessionFailed) => {
                turns = new_turns(context, job, &client, id).await?;
                if may_have_artifacts {
                    artifacts = agent_artifacts::store_new(context, job, &client, id).await?;
                }
            }
            Some(EventKind::AgentSessionActionRequired) => {
                turns = new_turns(context, job, &client, id).await?;
            }
            _ => {}
        }
    }
    let NewTurns { newest, turns } = turns.unwrap_or_default();
    let mut session = session_record(job, id, found);
    if let Some((turn_id, status)) = newest {
        (session.last_turn_id, session.last_turn_status) = (Some(turn_id), status);
    }
    session.artifacts = artifacts;
    let record = AgentRecord { session, turns };
    let result = || ResultPayload::of_agent(&record.session, &record.turns);
    let completion = context.outbox.completion(job, NotificationType::AgentStored, reason, result);
    let effect = Effect::Agent(Box::new(record));
    Ok(Write { effect, completion, fetch_state: Some(state), reservation: BodyReservation::default() })
}

/// The turns of a session that are not stored yet, or had not ended.
#[derive(Default)]
struct NewTurns {
    /// The id and status of the newest of all turns.
    newest: Option<(String, Option<String>)>,
    /// Newest first.
    turns: Vec<AgentTurnRecord>,
}

/// `None` if the turns cannot be read for a reason that does not change.
async fn new_turns(
    context: &Context,
    job: &Job<'_>,
    client: &Client,
    session_id: &str,
) -> Result<Option<NewTurns>, HandlerError> {
    let asked_at = Utc::now();
    let page = match client.agent_turns(session_id).await {
        Ok(fetched) => fetched.object,
        Err(error) => {
            fetch::left_out(job, "turns of the session", error)?;
            return Ok(None);
        }
    };
    job.progress.step();
    // An operator who asks for a session wants all of it again: usage may change after the end.
    let stored = match job.is_forced() {
        true => HashSet::new(),
        false => context.store.ended_agent_turns(&job.entry.project, session_id).await?,
    };
    let is_stored = |turn: &AgentTurn| turn.id.as_ref().is_some_and(|id| stored.contains(id));
    if page.has_more && !page.elements.iter().any(|(turn, _)| is_stored(turn)) {
        tracing::warn!(
            object.id = excerpt(session_id).as_ref(),
            turns = page.elements.len(),
            "the session has more turns than are read at once; older ones are not stored"
        );
    }
    let newest = page.elements.first().and_then(|(turn, _)| Some((turn.id.clone()?, turn.status.clone())));
    let mut turns = Vec::new();
    for (turn, raw) in page.elements {
        if is_stored(&turn) {
            continue;
        }
        let output_text = final_message(job, client, session_id, &turn).await?;
        if let Some(mut record) = turn_record(job, session_id, turn, (raw, asked_at)) {
            record.output_text = output_text;
            turns.push(record);
        }
    }
    Ok(Some(NewTurns { newest, turns }))
}

/// A turn that is running has no final message yet.
async fn final_message(
    job: &Job<'_>,
    client: &Client,
    session_id: &str,
    turn: &AgentTurn,
) -> Result<Option<String>, HandlerError> {
    let Some(turn_id) = turn.id.as_deref().filter(|_| turn.phase() != Phase::Running) else {
        return Ok(None);
    };
    job.progress.step();
    match client.agent_final_message(session_id, turn_id).await {
        Ok(message) => Ok(message),
        Err(error) => fetch::left_out(job, "items of the turn", error).map(|()| None),
    }
}

/// Without its final message; `None` if it has no id.
fn turn_record(
    job: &Job<'_>,
    session_id: &str,
    turn: AgentTurn,
    (raw, asked_at): (Bytes, DateTime<Utc>),
) -> Option<AgentTurnRecord> {
    let terminal = turn.phase() == Phase::Ended;
    Some(AgentTurnRecord {
        project: job.entry.project.clone(),
        session_id: session_id.to_owned(),
        turn_id: turn.id?,
        status: turn.status,
        agent_id: turn.agent_id,
        subagent_id: turn.subagent_id,
        output_text: None,
        error: turn.error,
        usage: turn.usage,
        created_at: turn.created_at,
        started_at: turn.started_at,
        completed_at: turn.completed_at,
        received_at: job.received_at(),
        fetch_state: FetchState::Fetched.into(),
        fetched_at: Some(asked_at),
        terminal,
        raw: Some(raw.into()),
    })
}

/// Without turns and artifacts.
fn session_record(job: &Job<'_>, id: &str, found: Found<AgentSession>) -> AgentSessionRecord {
    let Found { object, raw, state, fetched_at, .. } = found;
    AgentSessionRecord {
        project: job.entry.project.clone(),
        session_id: id.to_owned(),
        status: object.status,
        agent_id: object.agent_id,
        agent_name: object.agent_name,
        model: object.model,
        environment_type: object.environment_type,
        environment_id: object.environment_id,
        error: object.error,
        required_actions: object.required_actions,
        usage: object.usage,
        metadata: object.metadata,
        last_turn_id: None,
        last_turn_status: None,
        artifacts: None,
        created_at: object.created_at,
        last_active_at: object.last_active_at,
        received_at: job.received_at(),
        fetch_state: state.into(),
        fetched_at,
        raw: raw.map(Vec::from),
    }
}
