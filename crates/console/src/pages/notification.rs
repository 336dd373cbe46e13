//! One notification: its attempts with the target's answers, and the body that each of them sends.

use actix_web::{HttpRequest, HttpResponse, get, web};
use askama::Template;
use chrono::Utc;
use store::{NotificationAttempt, NotificationRecord};
use webhook::MaybeKnown;

use super::address::{self, Address};
use super::body_text::pretty;
use super::frame::{Frame, Nav};
use super::moment::{Moment, exact};
use super::page;
use super::page_error::PageError;
use super::quantity;
use super::state_word::StateWord;
use crate::problem::ApiError;
use crate::state::State;

#[derive(Template)]
#[template(path = "notification.html")]
struct NotificationPage {
    frame: Frame,
    id: String,
    kind: String,
    target: Link,
    state: StateWord,
    given_up: Option<String>,
    attempts: Vec<AttemptRow>,
    next: Option<Moment>,
    body: String,
    links: Vec<(&'static str, Link)>,
    facts: Vec<(&'static str, String)>,
}

struct Link {
    href: String,
    text: String,
}

struct AttemptRow {
    number: u32,
    at: Moment,
    state: StateWord,
    took: String,
    error: String,
    answer: String,
}

/// A notification by its id (`ntf_…`).
#[get("/notifications/{id}")]
pub(crate) async fn notification_page(
    state: web::Data<State>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let store = state.database.reader().await?;
    // The id is derived from the project, among others, so two projects have the same only by accident.
    let found = store.notifications_named(&id).await?.into_iter().next();
    let Some(record) = found else {
        return Err(ApiError::NotFound(format!("no notification has the id {:?}", *id)).into());
    };
    let notification = &record.notification;
    let attempts = store.notification_attempts(&notification.project, &id).await?;
    let now = Utc::now();
    let shell = format!("landfall notifications show {}", notification.id);
    let of_target = Address::new("/notifications").with("target", &notification.target);
    page(&NotificationPage {
        frame: Frame::new(state.head(), Nav::Targets, &notification.id, shell),
        id: notification.id.clone(),
        kind: notification.kind.to_string(),
        target: Link { href: of_target.to_string(), text: notification.target.clone() },
        state: StateWord::from(&record.state),
        given_up: record.reason.as_ref().map(|reason| reason.as_str().replace('_', " ")),
        attempts: attempts.iter().map(AttemptRow::of).collect(),
        next: record.next_attempt_at.map(|at| Moment::ago(at, now)),
        body: match state.bodies_for(&request).require() {
            Ok(()) => pretty(&notification.body),
            Err(withheld) => withheld.to_string(),
        },
        links: links(&record),
        facts: facts(&record),
    })
}

impl AttemptRow {
    fn of(attempt: &NotificationAttempt) -> Self {
        let class = if attempt.error.is_none() { "ok" } else { "bad" };
        let word = match attempt.status {
            Some(status) => status.to_string(),
            None if attempt.error.is_none() => "accepted".to_owned(),
            None => "no answer".to_owned(),
        };
        Self {
            number: attempt.attempt,
            at: Moment::time_of_day(attempt.started_at),
            state: StateWord::new(class, word),
            took: quantity::millis(attempt.latency_ms as f64),
            error: attempt.error.clone().unwrap_or_default(),
            answer: attempt.answer.clone().unwrap_or_default(),
        }
    }
}

/// What the notification is about.
fn links(record: &NotificationRecord) -> Vec<(&'static str, Link)> {
    let notification = &record.notification;
    let object = notification.object_id.as_ref().map(|id| {
        ("Object", Link { href: Address::new("/find").with("q", id).to_string(), text: id.clone() })
    });
    let webhook = notification.webhook_id.as_ref();
    let webhook = webhook.map(|id| ("Webhook", Link { href: address::of("/events", id), text: id.clone() }));
    object.into_iter().chain(webhook).collect()
}

fn facts(record: &NotificationRecord) -> Vec<(&'static str, String)> {
    let notification = &record.notification;
    let mut facts = vec![("Project", notification.project.clone())];
    facts.extend(notification.event_id.clone().map(|id| ("Event id", id)));
    facts.push(("Created", exact(notification.created_at)));
    facts.extend(record.delivered_at.map(|at| ("Delivered", exact(at))));
    facts.extend(notification.expires_at.map(|at| ("Not sent after", exact(at))));
    facts.extend(record.reason.as_ref().map(|reason| ("Reason", MaybeKnown::to_string(reason))));
    facts.push(("Size", format!("{} bytes", quantity::count(notification.body.len() as i128))));
    facts
}
