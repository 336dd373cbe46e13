//! One event: its timeline, the webhook as it was received, and what to do if it failed.

use actix_web::{HttpRequest, HttpResponse, get, web};
use askama::Template;
use chrono::{DateTime, Utc};
use operations::replay::{NamedEvent, named};
use store::EventRecord;
use webhook::{EventKind, MaybeKnown};

use super::address;
use super::body_text::pretty;
use super::facts::{Fact, Facts, find_href};
use super::frame::{Frame, Nav};
use super::page;
use super::page_error::PageError;
use super::quantity;
use super::reason_class;
use super::state_word::StateWord;
use super::timeline::{self, NotificationHistory, Step};
use crate::problem::ApiError;
use crate::state::State;

#[derive(Template)]
#[template(path = "event.html")]
struct EventPage {
    frame: Frame,
    webhook_id: String,
    event_type: String,
    /// Where the button is sent to.
    replay: String,
    state: StateWord,
    object: Option<Link>,
    hint: Option<Hint>,
    steps: Vec<Step>,
    body: String,
    facts: Vec<Fact>,
}

struct Link {
    href: String,
    text: String,
}

/// What is wrong, and what to do about it.
struct Hint {
    what: String,
    cure: &'static str,
}

/// An event by its `webhook-id` or its event id.
#[get("/events/{id}")]
pub(crate) async fn event_page(
    state: web::Data<State>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let store = state.database.reader().await?;
    let NamedEvent::Event(event) = named(store, &id).await? else {
        return Err(ApiError::NotFound(format!("no event has the id {:?}", *id)).into());
    };
    let attempts = store.event_attempts(&event.project, &event.webhook_id).await?;
    let mut notifications = Vec::new();
    for notification in store.notifications_of_webhook(&event.project, &event.webhook_id).await? {
        let id = &notification.notification.id;
        let attempts = store.notification_attempts(&event.project, id).await?;
        notifications.push(NotificationHistory { notification, attempts });
    }
    let now = Utc::now();
    let shell = format!("landfall show {}", event.webhook_id);
    page(&EventPage {
        frame: Frame::new(state.head(), Nav::Events, &event.webhook_id, shell)
            .with_json(address::of("/api/v1/objects", &event.webhook_id)),
        state: StateWord::from(&event.state),
        object: event
            .object_id
            .as_ref()
            .filter(|_| EventKind::from_name(&event.event_type).has_object())
            .map(|id| Link { href: find_href(id), text: id.clone() }),
        hint: hint(&event),
        steps: timeline::steps(&event, &attempts, &notifications, now),
        body: match state.bodies_for(&request).require() {
            Ok(()) => pretty(&event.body),
            Err(withheld) => withheld.to_string(),
        },
        facts: facts_of(&event, now),
        replay: format!("{}/replay", address::of("/events", &event.webhook_id)),
        webhook_id: event.webhook_id,
        event_type: event.event_type,
    })
}

fn hint(event: &EventRecord) -> Option<Hint> {
    let reason = event.reason.as_ref()?;
    let text = event.last_error.clone().unwrap_or_else(|| reason.as_str().replace('_', " "));
    let cure = reason_class::cure(reason.known()?.class());
    Some(Hint { what: text, cure })
}

fn facts_of(event: &EventRecord, now: DateTime<Utc>) -> Vec<Fact> {
    let late = |at| format!("{} after OpenAI’s clock", quantity::span(event.received_at - at));
    Facts::new(now)
        .text("Project", Some(event.project.clone()))
        .code("Webhook id", Some(event.webhook_id.clone()))
        .code("Event id", event.event_id.clone())
        .text("Family", Some(event.family.to_string()))
        .time("Received", Some(event.received_at))
        .text("Delay", event.created_at.map(late))
        .text("Attempts", Some(event.attempts.to_string()))
        .time("Processed", event.processed_at)
        .text("Reason", event.reason.as_ref().map(MaybeKnown::to_string))
        .done()
}
