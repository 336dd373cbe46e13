//! One batch: how far its import is, what failed in it, and its results.

use std::cmp::Reverse;

use actix_web::{HttpRequest, HttpResponse, get, web};
use askama::Template;
use chrono::{DateTime, Utc};
use store::{ErrorCount, Found, Store, StoreError, StoredBatch};
use webhook::Family;

use super::absent::absent;
use super::address::{self, Address};
use super::batch_import::ImportView;
use super::batch_results::{ResultsQuery, ResultsView, has_more_lines};
use super::facts::{self, Fact, Facts};
use super::frame::{Frame, Nav};
use super::object_events::{ObjectEvent, object_events};
use super::page;
use super::page_error::PageError;
use super::quantity;
use super::shell_word::shell_word;
use super::state_word::StateWord;
use crate::state::State;

/// Causes shown one by one; the others are added up.
const CAUSES_MAX: usize = 8;

#[derive(Template)]
#[template(path = "batch.html")]
struct BatchPage {
    frame: Frame,
    id: String,
    state: StateWord,
    summary: String,
    facts: Vec<Fact>,
    import: ImportView,
    failures: Failures,
    results: ResultsView,
    /// For those who may read bodies.
    downloads: Option<Downloads>,
    events: Vec<ObjectEvent>,
    json: Option<String>,
    json_href: String,
}

struct Downloads {
    jsonl: String,
    csv: String,
}

/// Failed lines by cause.
#[derive(Default)]
struct Failures {
    total: i64,
    shown_total: String,
    causes: Vec<Cause>,
    /// Why they are not complete.
    note: Option<String>,
}

struct Cause {
    name: String,
    href: Option<String>,
    lines: i64,
    shown: String,
}

/// A batch by its id.
#[get("/batches/{id}")]
pub(crate) async fn batch_page(
    state: web::Data<State>,
    request: HttpRequest,
    id: web::Path<String>,
    query: web::Query<ResultsQuery>,
) -> Result<HttpResponse, PageError> {
    let store = state.database.reader().await?;
    let found = store.find_object(Family::Batch, &id).await?;
    let Some(Found::Batch(batch)) = found.into_iter().next() else {
        return absent(&state, Nav::Batches, &id).await;
    };
    let now = Utc::now();
    let bodies = state.bodies_for(&request);
    let may_read = bodies.require().is_ok();
    let errors = error_counts(store, &batch).await?;
    let known_errors = errors.as_deref().unwrap_or_default();
    let word = shell_word(&id);
    let json_href = address::of("/api/v1/objects", &id);
    page(&BatchPage {
        frame: Frame::new(
            state.head(),
            Nav::Batches,
            &*id,
            format!("landfall show {word}; landfall results {word}"),
        )
        .with_json(json_href.clone()),
        state: StateWord::of_object(batch.batch.status.as_deref(), &batch.batch.fetch_state),
        summary: summary(&batch),
        facts: facts_of(store, &batch, now).await?,
        import: ImportView::of(&state, store, &batch, now).await?,
        failures: Failures::of(&batch, errors.as_deref()),
        results: ResultsView::of(store, &batch, known_errors, bodies, query.into_inner()).await?,
        downloads: (may_read && batch.rows_stored > 0).then(|| Downloads::of(&id)),
        events: object_events(store, &id, now).await?,
        json: batch.batch.raw.as_deref().filter(|_| may_read).and_then(facts::pretty),
        json_href,
        id: id.into_inner(),
    })
}

/// `None` if the database took too long: the rest of the page does not depend on it.
async fn error_counts(store: &Store, batch: &StoredBatch) -> Result<Option<Vec<ErrorCount>>, StoreError> {
    match store.batch_error_counts(batch).await {
        Err(error) if error.is_too_slow() => Ok(None),
        counts => counts.map(Some),
    }
}

fn summary(batch: &StoredBatch) -> String {
    let count = |number: i64| quantity::count(number);
    match (batch.batch.requests_completed, batch.batch.requests_total) {
        (Some(completed), Some(total)) if total > 0 => {
            format!("{} of {} succeeded", count(completed), count(total))
        }
        _ => String::new(),
    }
}

async fn facts_of(store: &Store, stored: &StoredBatch, now: DateTime<Utc>) -> Result<Vec<Fact>, StoreError> {
    let batch = &stored.batch;
    let took = batch.created_at.zip(batch.completed_at);
    let took = took.map(|(from, to)| quantity::span(to - from));
    let mut facts = Facts::new(now)
        .text("Endpoint", batch.endpoint.clone())
        .text("Model", batch.model.clone())
        .code("Metadata", facts::metadata(batch.metadata.as_deref()))
        .time("Created", batch.created_at)
        .time("Ended", batch.completed_at)
        .text("Took", took)
        .stored(&batch.fetch_state, batch.fetched_at, batch.completed_at)
        .text("Tokens", facts::tokens(batch.usage.as_deref()));
    let input = batch.input_file_id.as_deref();
    facts = match &stored.input_state {
        // Without FETCH_BATCH_INPUTS it is only a name.
        None => facts.code("Input file", input),
        Some(state) => facts.id("Input file", input, &state.as_str().replace('_', " ")),
    };
    for (name, id) in [("Output file", &batch.output_file_id), ("Error file", &batch.error_file_id)] {
        let Some(id) = id.as_deref().filter(|id| !id.is_empty()) else { continue };
        let file = store.find_file(id).await?;
        let note = match file.map(|file| file.expires_at) {
            None => "not stored".to_owned(),
            Some(Some(at)) if at > now => {
                format!("stored; expires at OpenAI in {}", quantity::span(at - now))
            }
            Some(Some(_)) => "stored; expired at OpenAI".to_owned(),
            Some(None) => "stored".to_owned(),
        };
        facts = facts.id(name, Some(id), &note);
    }
    Ok(facts.text("Project", Some(batch.project.clone())).done())
}

impl Downloads {
    fn of(id: &str) -> Self {
        let jsonl = format!("{}/results", address::of("/api/v1/batches", id));
        Self { csv: format!("{jsonl}?format=csv"), jsonl }
    }
}

impl Failures {
    /// `errors` is `None` if they could not be counted in time.
    fn of(batch: &StoredBatch, errors: Option<&[ErrorCount]>) -> Self {
        let Some(errors) = errors else {
            let note =
                Some("The database took too long to count them; see landfall results --errors.".to_owned());
            return Self { note, ..Self::default() };
        };
        let mut causes: Vec<Cause> = Vec::new();
        for error in errors {
            let name = cause(error);
            match causes.iter_mut().find(|cause| cause.name == name) {
                Some(cause) => cause.lines += error.lines,
                None => causes.push(Cause {
                    href: Some(href(batch, error)),
                    name,
                    lines: error.lines,
                    shown: String::new(),
                }),
            }
        }
        causes.sort_by_key(|cause| Reverse(cause.lines));
        if causes.len() > CAUSES_MAX {
            let others = causes.split_off(CAUSES_MAX - 1);
            let lines = others.iter().map(|cause| cause.lines).sum();
            causes.push(Cause { name: "others".to_owned(), href: None, lines, shown: String::new() });
        }
        for cause in &mut causes {
            cause.shown = quantity::count(cause.lines);
        }
        let total: i64 = causes.iter().map(|cause| cause.lines).sum();
        let note = has_more_lines(batch).then(|| {
            format!("Among the first {} lines of each file.", quantity::count(ErrorCount::LINES_MAX))
        });
        let shown_total = quantity::count(total);
        Self { total, shown_total, causes, note }
    }
}

fn cause(error: &ErrorCount) -> String {
    match (&error.code, error.status_code) {
        _ if error.quarantined => "quarantined".to_owned(),
        (Some(code), _) => code.clone(),
        (None, Some(status)) => format!("status {status}"),
        (None, None) => "without a status".to_owned(),
    }
}

/// The results that failed for this cause, as near as a filter can tell.
fn href(batch: &StoredBatch, error: &ErrorCount) -> String {
    let address = Address::new(address::of("/batches", &batch.batch.batch_id));
    match (error.quarantined, error.status_code) {
        (true, _) => address.with("show", "quarantined").to_string(),
        (false, Some(status)) if (100..=599).contains(&status) => {
            address.with("status", &status.to_string()).to_string()
        }
        (false, _) => address.with("show", "failed").to_string(),
    }
}
