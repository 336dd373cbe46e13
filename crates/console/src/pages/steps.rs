//! The steps from a new installation to its first event. Each is done when it was seen to be done.

use chrono::{DateTime, TimeDelta, Utc};
use store::EventSpan;
use webhook::EventState;

use crate::facts::{Facts, NoStore, StoreFacts};

/// The steps are shown for this long after the first event was received.
const SHOWN_FOR: TimeDelta = TimeDelta::minutes(1);

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) is_done: bool,
    /// Whether it is one that an event makes.
    pub(super) is_event: bool,
    pub(super) what: &'static str,
    pub(super) how: String,
    /// To type in a shell.
    pub(super) command: Option<&'static str>,
}

/// `None` if the installation has had events for a while, or if it is not known.
pub(super) fn first_steps(facts: Option<&Facts>, now: DateTime<Utc>) -> Option<Vec<Step>> {
    let facts = facts?;
    let store = match &facts.store {
        Ok(store) => Some(store),
        Err(NoStore::NotCreated) => None,
        Err(NoStore::OldSchema | NoStore::Down) => return None,
    };
    let first = store.and_then(first_received_at);
    if first.is_some_and(|first| now - first > SHOWN_FOR) {
        return None;
    }
    let queue = facts.queue.as_ref().ok().map(|queue| &queue.status);
    let missing: Vec<&str> = ["ingest", "worker"]
        .into_iter()
        .filter(|program| queue.is_none_or(|queue| queue.alive(program).next().is_none()))
        .collect();
    let is_received =
        first.is_some() || queue.is_some_and(|queue| queue.total.backlog + queue.total.dead > 0);
    let is_stored = |span: &EventSpan| span.state == EventState::Stored;
    let step = |is_done, what, how: &str, command| Step {
        is_done,
        is_event: false,
        what,
        how: how.to_owned(),
        command,
    };
    Some(vec![
        step(
            missing.is_empty(),
            "Start ingest and a worker",
            &match (queue, &missing[..]) {
                (None, _) => "Not known: Redis cannot be read.".to_owned(),
                (Some(_), []) => String::new(),
                (Some(_), missing) => format!("Not running: {}.", missing.join(", ")),
            },
            Some("docker compose up -d"),
        ),
        step(
            is_received,
            "Add the endpoint to your OpenAI project",
            "Settings, Webhooks, Create: https://YOUR-HOST/openai/webhook. Give its signing secret to ingest as \
             OPENAI_WEBHOOK_SECRET. Done with the first webhook whose signature is valid.",
            None,
        ),
        Step {
            is_event: true,
            ..step(
                is_received,
                "Receive the first webhook",
                "Send one yourself, signed with the same secret, or let OpenAI send a test event.",
                Some("landfall send response.completed"),
            )
        },
        Step {
            is_event: true,
            ..step(
                store.is_some_and(|store| store.events.iter().any(is_stored)),
                "Store the first event",
                "A worker fetches the object and stores it. A test event names no real object, and is stored as not found.",
                None,
            )
        },
    ])
}

fn first_received_at(store: &StoreFacts) -> Option<DateTime<Utc>> {
    store.events.iter().map(|span| span.first_received_at).min()
}
