//! The list of events.

use actix_web::{HttpResponse, get, web};
use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use store::{EventFilter, EventRecord, PagePosition};
use webhook::{EventState, Family, MaybeKnown};

use super::address::{self, Address, Chip, Pages, chips};
use super::frame::{Frame, Nav};
use super::moment::Moment;
use super::page;
use super::page_error::PageError;
use super::state_word::StateWord;
use crate::api::page as list;
use crate::api::parameters::named;
use crate::state::State;

/// Rows of a page.
const ROWS: u32 = 50;

/// The query of the list.
#[derive(Debug, Deserialize)]
pub(crate) struct EventsQuery {
    state: Option<String>,
    family: Option<String>,
    project: Option<String>,
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    frame: Frame,
    states: Vec<Chip>,
    families: Vec<Chip>,
    rows: Vec<EventRow>,
    is_filtered: bool,
    pages: Pages,
}

struct EventRow {
    received: Moment,
    state: StateWord,
    event_type: String,
    href: String,
    /// Of the object, or else of the webhook.
    id: String,
    attempts: u32,
    /// The reason, if it is not stored, or not completely.
    why: String,
}

/// Events, newest first.
#[get("/events")]
pub(crate) async fn events_page(
    state: web::Data<State>,
    query: web::Query<EventsQuery>,
) -> Result<HttpResponse, PageError> {
    let EventsQuery { state: event_state, family, project, after } = query.into_inner();
    let filter = EventFilter {
        project: project.clone(),
        family: named::<Family>("family", family.as_deref())?,
        state: named::<EventState>("state", event_state.as_deref())?,
        since: None,
        after: list::decode(after.as_deref())?,
        limit: ROWS + 1,
    };
    let mut events = state.database.reader().await?.list_events(&filter).await?;
    let has_more = events.len() > ROWS as usize;
    events.truncate(ROWS as usize);
    let next = events
        .last()
        .filter(|_| has_more)
        .map(|last| list::encode(&PagePosition { at: last.received_at, id: last.webhook_id.clone() }));

    let address = Address::new("/events")
        .with_option("state", event_state.as_deref())
        .with_option("family", family.as_deref())
        .with_option("project", project.as_deref());
    let now = Utc::now();
    page(&EventsPage {
        frame: Frame::new(
            state.head(),
            Nav::Events,
            "Events",
            shell(event_state.as_deref(), family.as_deref()),
        )
        .with_json(address.below("/api/v1/events").to_string()),
        states: chips(
            &address,
            "state",
            event_state.as_deref(),
            EventState::ALL.iter().map(|it| it.as_str()),
        ),
        families: chips(&address, "family", family.as_deref(), Family::ALL.iter().map(|it| it.as_str())),
        rows: events.iter().map(|event| EventRow::of(event, now)).collect(),
        is_filtered: address.is_filtered(),
        pages: Pages::new(&address, after.as_deref(), next.as_deref()),
    })
}

impl EventRow {
    fn of(event: &EventRecord, now: DateTime<Utc>) -> Self {
        Self {
            received: Moment::ago(event.received_at, now),
            state: StateWord::from(&event.state),
            event_type: event.event_type.clone(),
            href: address::of("/events", &event.webhook_id),
            id: event.object_id.as_ref().unwrap_or(&event.webhook_id).clone(),
            attempts: event.attempts,
            why: why(event),
        }
    }
}

fn why(event: &EventRecord) -> String {
    let reason = event.reason.as_ref().map(MaybeKnown::as_str);
    [reason, event.last_error.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": ")
}

/// The command that lists the same.
fn shell(state: Option<&str>, family: Option<&str>) -> String {
    let option =
        |name, value: Option<&str>| value.map(|value| format!(" --{name} {value}")).unwrap_or_default();
    format!("landfall events{}{}", option("state", state), option("family", family))
}
