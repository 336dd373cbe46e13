//! One dead letter: why it was given up, and what can be done.

use actix_web::{HttpRequest, HttpResponse, get, web};
use askama::Template;
use chrono::{DateTime, Utc};
use operations::dead_letters::{Letter, letter};
use webhook::Family;

use super::address::{self, Address};
use super::body_text;
use super::dead_letters::{href, reason_text};
use super::frame::{Frame, Nav};
use super::moment::Moment;
use super::page_error::PageError;
use super::{page, reason_class};
use crate::api::parameters::named;
use crate::problem::ApiError;
use crate::state::State;

#[derive(Template)]
#[template(path = "dead_letter.html")]
struct LetterPage {
    frame: Frame,
    id: String,
    href: String,
    event_type: String,
    reason: String,
    cure: Option<&'static str>,
    error: String,
    /// The event and the object, where they can be looked up.
    event: Option<Link>,
    object: Option<Link>,
    file_expires: Option<Moment>,
    is_expired: bool,
    facts: Vec<(&'static str, String)>,
    body: String,
}

struct Link {
    href: String,
    text: String,
}

/// A dead letter.
#[get("/dead/{family}/{id}")]
pub(crate) async fn dead_letter_page(
    state: web::Data<State>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, PageError> {
    let found = find(&state, &path).await?;
    let now = Utc::now();
    let id = found.letter.id.clone();
    let shell = format!("landfall dead show {id} --family {}", found.family);
    let file_expires_at = found.file_expires_at();
    page(&LetterPage {
        frame: Frame::new(state.head(), Nav::DeadLetters, format!("Dead letter {id}"), shell),
        href: href(&found),
        event_type: found.event_type().unwrap_or("cannot be decoded").to_owned(),
        reason: reason_text(found.letter.reason),
        cure: found.letter.class().map(reason_class::cure),
        error: found.letter.last_error.clone().unwrap_or_default(),
        event: found.webhook_id().map(|id| Link { href: address::of("/events", id), text: id.to_owned() }),
        object: found
            .object_id()
            .map(|id| Link { href: Address::new("/find").with("q", &id).to_string(), text: id }),
        file_expires: file_expires_at.map(|at| Moment::ago(at, now)),
        is_expired: file_expires_at.is_some_and(|at| at <= now),
        facts: facts(&found),
        body: match state.bodies_for(&request).require() {
            Ok(()) => body(&found),
            Err(withheld) => withheld.to_string(),
        },
        id,
    })
}

/// The letter that the path names.
pub(super) async fn find(state: &State, (family, id): &(String, String)) -> Result<Letter, PageError> {
    let none = || {
        ApiError::NotFound(format!(
            "no dead letter has the id {id:?}: it may have been redriven or discarded"
        ))
    };
    let family = named::<Family>("family", Some(family))?.ok_or_else(none)?;
    Ok(letter(&state.queue, family, id).await?.ok_or_else(none)?)
}

fn facts(found: &Letter) -> Vec<(&'static str, String)> {
    let letter = &found.letter;
    let exact = |at: Option<DateTime<Utc>>| {
        at.map_or("–".to_owned(), |at| format!("{} UTC", at.format("%Y-%m-%d %H:%M:%S")))
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
    let project = letter.content.as_ref().map_or("–", |entry| entry.project.as_str());
    vec![
        ("Family", found.family.to_string()),
        ("Project", project.to_owned()),
        ("Cause", reason_class::cause(letter.class()).to_owned()),
        ("Received", exact(found.received_at())),
        ("Given up", exact(found.died_at())),
        ("Attempts", letter.attempts.to_string()),
        ("Crashes", letter.crashes.to_string()),
        ("First error", text(&letter.first_error)),
        ("Last error", text(&letter.last_error)),
        ("Entry", letter.entry_id.clone()),
    ]
}

/// Indented JSON; a body that is not JSON as it is.
fn body(found: &Letter) -> String {
    let Ok(entry) = &found.letter.content else { return "The entry cannot be decoded.".to_owned() };
    body_text::pretty(&entry.body)
}
