//! The plain page of files, models, agent sessions and turns, safety alerts, and of ids that only events have: facts and
//! JSON. What has a page of its own is sent there.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use askama::Template;
use chrono::{DateTime, Utc};
use serde_json::Value;
use store::{AgentTurnRecord, Found, Store};

use super::absent::absent;
use super::address;
use super::facts::{Fact, Facts, line, pretty};
use super::frame::{Frame, Nav};
use super::moment::Moment;
use super::object_events::{ObjectEvent, object_events};
use super::object_path::object_path;
use super::page;
use super::page_error::PageError;
use super::state_word::StateWord;
use crate::bodies::BodyAccess;
use crate::state::State;

/// Turns shown with their session.
const TURNS_MAX: u32 = 20;

#[derive(Template)]
#[template(path = "object.html")]
struct ObjectPage {
    frame: Frame,
    id: String,
    kind: String,
    facts: Vec<Fact>,
    /// Of a file.
    download: Option<String>,
    turns: Vec<TurnRow>,
    events: Vec<ObjectEvent>,
    /// `None` if it is too long for a page.
    json: Option<String>,
    json_href: String,
}

struct TurnRow {
    id: String,
    href: String,
    state: StateWord,
    created: Option<Moment>,
    text: String,
}

/// Anything that has no page of its own.
#[get("/objects/{id}")]
pub(crate) async fn object_page(
    state: web::Data<State>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let store = state.database.reader().await?;
    let found = operations::find(store, &id).await?;
    let Some(found) = found.into_iter().next() else { return absent(&state, Nav::Other, &id).await };
    let path = object_path(&found);
    if !path.starts_with("/objects/") {
        let mut response = HttpResponse::SeeOther();
        return Ok(response.insert_header((header::LOCATION, path)).finish());
    }
    let bodies = state.bodies_for(&request);
    let record = bodies.row(operations::record(store, &found).await?)?;
    let now = Utc::now();
    let (kind, facts) = facts(record.get(), now);
    let json_href = address::object_json(&id);
    page(&ObjectPage {
        frame: Frame::of_object(state.head(), Nav::Other, &id),
        kind,
        facts,
        download: match &found {
            Found::File(_) if bodies.require().is_ok() => {
                Some(format!("{}/content", address::of("/api/v1/files", &id)))
            }
            _ => None,
        },
        turns: turns(store, &found, bodies, now).await?,
        events: object_events(store, &id, now).await?,
        json: pretty(record.get().as_bytes()),
        json_href,
        id: id.into_inner(),
    })
}

/// The kind, and every field that is a plain value. The others are in the JSON.
fn facts(record: &str, now: DateTime<Utc>) -> (String, Vec<Fact>) {
    let fields = match serde_json::from_str(record) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let kind = fields.get("kind").and_then(Value::as_str).unwrap_or("object").replace('_', " ");
    let mut facts = Facts::new(now);
    for (field, value) in fields.iter().filter(|(field, _)| *field != "kind") {
        let name = name(field);
        facts = match value {
            Value::String(text) if field.ends_with("_at") && text.parse::<DateTime<Utc>>().is_ok() => {
                facts.time(&name, text.parse().ok())
            }
            Value::String(text) if field.ends_with("_id") => facts.id(&name, Some(text), ""),
            Value::String(text) => facts.text(&name, Some(line(text))),
            Value::Bool(flag) => facts.text(&name, Some(if *flag { "yes" } else { "no" })),
            Value::Number(number) => facts.text(&name, Some(number.to_string())),
            Value::Null | Value::Array(_) | Value::Object(_) => facts,
        };
    }
    (kind, facts.done())
}

/// `fetched_at` reads `Fetched`.
fn name(field: &str) -> String {
    let words = field.strip_suffix("_at").or(field.strip_suffix("_id")).unwrap_or(field).replace('_', " ");
    let mut chars = words.chars();
    chars.next().map(|first| format!("{}{}", first.to_ascii_uppercase(), chars.as_str())).unwrap_or_default()
}

async fn turns(
    store: &Store,
    found: &Found,
    bodies: BodyAccess,
    now: DateTime<Utc>,
) -> Result<Vec<TurnRow>, PageError> {
    let Found::AgentSession(session) = found else { return Ok(Vec::new()) };
    let turns = store.agent_turns(&session.project, &session.session_id, TURNS_MAX).await?;
    let row = |turn: AgentTurnRecord| TurnRow {
        href: address::of("/objects", &turn.turn_id),
        state: StateWord::of_status(turn.status.as_deref()),
        created: turn.created_at.map(|at| Moment::ago(at, now)),
        text: turn.output_text.filter(|_| bodies.require().is_ok()).as_deref().map(line).unwrap_or_default(),
        id: turn.turn_id,
    };
    Ok(turns.into_iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_fields_are_facts() {
        let record = r#"{"kind":"safety_alert","alert_id":"alert_1","request_paused":true,"raw":{"a":1},
            "reason":null,"created_at":"2026-11-30T20:15:02Z","bytes":7}"#;
        let (kind, facts) = facts(record, Utc::now());
        let facts: Vec<(&str, &str)> = facts.iter().map(|fact| (&*fact.name, &*fact.text)).collect();
        assert_eq!(kind, "safety alert");
        let created = ("Created", "2026-11-30 20:15:02 UTC");
        let mut expected = vec![("Alert", "alert_1"), ("Bytes", "7"), created, ("Request paused", "yes")];
        expected.sort_unstable();
        let mut facts = facts;
        facts.sort_unstable();
        assert_eq!(facts, expected);
    }
}
