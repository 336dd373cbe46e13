//! An agent session with its newest turns, and one turn.

use store::{AgentSessionRecord, AgentTurnRecord, Store};

use super::layout::{Layout, error_text, or_empty};
use crate::exit::CliError;
use crate::{output, printable};

/// Turns shown with their session, newest first.
const TURNS_SHOWN: u32 = 10;

pub(super) async fn session_text(
    store: &Store,
    session: &AgentSessionRecord,
    layout: Layout,
) -> Result<String, CliError> {
    let fields = [
        ("status", or_empty(session.status.as_deref())),
        ("last turn", last_turn(session)),
        ("waits for", required_actions(session.required_actions.as_deref())),
        ("agent", or_empty(session.agent_name.as_deref().or(session.agent_id.as_deref()))),
        ("model", or_empty(session.model.as_deref())),
        ("environment", or_empty(session.environment_type.as_deref())),
        ("artifacts", printable::sentence(&artifacts(session.artifacts.as_deref()))),
        ("error", error_text(session.error.as_deref())),
        ("created", layout.time(session.created_at)),
        ("active", layout.time(session.last_active_at)),
        ("received", layout.time(Some(session.received_at))),
        ("fetched", layout.origin(&session.fetch_state, session.fetched_at)),
    ];
    let mut text = layout.section("agent session", &session.session_id, &fields);
    for turn in store.agent_turns(&session.project, &session.session_id, TURNS_SHOWN).await? {
        text.push('\n');
        text.push_str(&turn_text(&turn, layout));
    }
    Ok(text)
}

pub(super) fn turn_text(turn: &AgentTurnRecord, layout: Layout) -> String {
    let fields = [
        ("session", or_empty(Some(&turn.session_id))),
        ("status", or_empty(turn.status.as_deref())),
        ("message", or_empty(turn.output_text.as_deref())),
        ("error", error_text(turn.error.as_deref())),
        ("created", layout.time(turn.created_at)),
        ("ended", layout.time(turn.completed_at)),
        ("fetched", layout.origin(&turn.fetch_state, turn.fetched_at)),
    ];
    layout.section("turn", &turn.turn_id, &fields)
}

fn last_turn(session: &AgentSessionRecord) -> String {
    let Some(turn_id) = &session.last_turn_id else { return String::new() };
    let status = session.last_turn_status.as_deref().unwrap_or("unknown");
    format!("{status} ({})", printable::one_line(turn_id))
}

/// The elements of a JSON array.
fn elements(json: Option<&str>) -> Vec<serde_json::Value> {
    json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}

/// The types and names of the actions, such as `function_call close_ticket`.
fn required_actions(json: Option<&str>) -> String {
    let action = |action: &serde_json::Value| {
        let words = [action["type"].as_str(), action["name"].as_str()];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    let actions: Vec<String> = elements(json).iter().map(action).filter(|words| !words.is_empty()).collect();
    printable::sentence(&actions.join(", "))
}

/// The number of artifacts, and the states of those that are not stored.
fn artifacts(json: Option<&str>) -> String {
    let artifacts = elements(json);
    if artifacts.is_empty() {
        return String::new();
    }
    let count = |state: &str| artifacts.iter().filter(|artifact| artifact["state"] == state).count();
    let mut words = vec![format!("{} fetched", output::count(count("fetched") as i64))];
    for state in ["too_large", "not_found", "forbidden", "failed"] {
        if count(state) > 0 {
            words.push(format!("{} {}", count(state), state.replace('_', " ")));
        }
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_and_artifacts_fit_on_a_line_each() {
        let actions = r#"[{"type":"function_call","name":"close_ticket"},{"type":"of_2027"},7]"#;
        assert_eq!(required_actions(Some(actions)), "function_call close_ticket, of_2027");
        let listed = r#"[{"state":"fetched"},{"state":"too_large"},{"state":"fetched"}]"#;
        assert_eq!(artifacts(Some(listed)), "2 fetched, 1 too large");
        assert_eq!((artifacts(None), required_actions(Some("{}"))), (String::new(), String::new()));
    }
}
