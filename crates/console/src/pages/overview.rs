//! The overview: how the installation is, how much waits, and the last 24 hours. Until the first event is stored it shows
//! the steps to it.

use std::sync::Arc;

use actix_web::{HttpResponse, get, web};
use askama::Template;
use chrono::{DateTime, Utc};

use super::frame::{Frame, Nav};
use super::overview_charts::Charts;
use super::overview_parts::{Card, ImportRow, QueueRow, TargetRow, cards};
use super::page;
use super::page_error::PageError;
use super::steps::{Step, first_steps};
use crate::facts::{Facts, NoStore};
use crate::state::State;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    /// The steps to the first event; `None` for an installation that has events.
    steps: Option<Vec<Step>>,
    /// Whether there is anything else to show.
    is_new: bool,
    cards: Vec<Card>,
    charts: Option<Charts>,
    imports: Part<ImportRow>,
    targets: Part<TargetRow>,
    queue: Part<QueueRow>,
}

/// A table, or why there is none.
enum Part<T> {
    Rows(Vec<T>),
    Unknown(&'static str),
}

/// How the installation is.
#[get("/")]
pub(crate) async fn overview_page(state: web::Data<State>) -> Result<HttpResponse, PageError> {
    let facts = state.facts.fresh().await;
    let now = Utc::now();
    let day = match facts.as_deref().map(|facts| &facts.store) {
        Some(Ok(_)) => state.day.recent().await,
        Some(Err(_)) | None => None,
    };
    let steps = first_steps(facts.as_deref(), now);
    let is_new = steps.as_ref().is_some_and(|steps| !steps.iter().any(|step| step.is_event && step.is_done));
    page(&OverviewPage {
        frame: Frame::new(state.head(), Nav::Overview, "Overview", "landfall status")
            .with_finding(facts.as_deref(), now),
        cards: cards(facts.as_deref(), day.as_deref(), now),
        charts: day.as_deref().map(Charts::new),
        imports: imports(facts.as_ref()),
        targets: targets(facts.as_ref(), now),
        queue: queue(facts.as_ref(), now),
        steps,
        is_new,
    })
}

const NO_REDIS: &str = "Redis cannot be read.";
const NOT_YET: &str = "Not read yet.";

fn no_store(why: NoStore) -> &'static str {
    match why {
        NoStore::NotCreated => "There is no database yet: a worker creates it when it starts.",
        NoStore::OldSchema => "The database has an older schema than this console needs.",
        NoStore::Down => "The database cannot be read.",
    }
}

fn imports(facts: Option<&Arc<Facts>>) -> Part<ImportRow> {
    let Some(facts) = facts else { return Part::Unknown(NOT_YET) };
    let is_importing = facts.queue.as_ref().is_ok_and(|queue| queue.status.is_importing());
    match &facts.store {
        Ok(store) => {
            Part::Rows(store.imports.iter().map(|import| ImportRow::of(import, is_importing)).collect())
        }
        Err(why) => Part::Unknown(no_store(*why)),
    }
}

fn targets(facts: Option<&Arc<Facts>>, now: DateTime<Utc>) -> Part<TargetRow> {
    let Some(facts) = facts else { return Part::Unknown(NOT_YET) };
    match &facts.store {
        Ok(store) => Part::Rows(TargetRow::all(store, facts.queue.as_ref().ok(), now)),
        Err(why) => Part::Unknown(no_store(*why)),
    }
}

fn queue(facts: Option<&Arc<Facts>>, now: DateTime<Utc>) -> Part<QueueRow> {
    let Some(facts) = facts else { return Part::Unknown(NOT_YET) };
    match &facts.queue {
        Ok(queue) => Part::Rows(QueueRow::all(&queue.status, now)),
        Err(_) => Part::Unknown(NO_REDIS),
    }
}
