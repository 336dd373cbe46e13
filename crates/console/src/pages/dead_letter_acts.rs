//! Redriving and discarding: a preview that counts, the act on what it counted, and the notice afterwards.

use actix_web::web::ReqData;
use actix_web::{HttpResponse, get, post, web};
use askama::Template;
use chrono::Utc;
use operations::dead_letter_acts::{Acted, LetterAct, preview};
use operations::dead_letters::{DeadLetterFilter, DeadLetterSelection};
use serde::Deserialize;

use super::address::Address;
use super::dead_letter::find;
use super::dead_letters::{self, LetterRow, shell};
use super::frame::{Frame, Nav};
use super::notice::Notice;
use super::page_error::PageError;
use super::{page, quantity, see_other};
use crate::access::Caller;
use crate::api::opaque;
use crate::problem::ApiError;
use crate::state::State;

/// Letters that one request changes; then the page asks again.
const LETTERS_MAX: u64 = 5_000;
/// Letters that a preview shows.
const SAMPLE_MAX: usize = 20;

/// The query of a preview: a filter, or the rest of an earlier selection.
#[derive(Debug, Deserialize)]
pub(crate) struct PreviewQuery {
    family: Option<String>,
    reason: Option<String>,
    preview: Option<String>,
}

/// The form that a preview sends.
#[derive(Debug, Deserialize)]
pub(crate) struct RunForm {
    preview: String,
}

#[derive(Template)]
#[template(path = "dead_letter_preview.html")]
struct PreviewPage {
    frame: Frame,
    /// `Redrive` or `Discard`.
    title: &'static str,
    is_discard: bool,
    action: &'static str,
    letters: String,
    /// How many the first run changes, if not all.
    at_once: Option<String>,
    filter: String,
    rows: Vec<LetterRow>,
    has_none: bool,
    preview: String,
}

/// Counts what would be changed.
#[get("/dead/{act}")]
pub(crate) async fn preview_page(
    state: web::Data<State>,
    caller: ReqData<Caller>,
    act: web::Path<String>,
    query: web::Query<PreviewQuery>,
) -> Result<HttpResponse, PageError> {
    let act = parse(&act)?;
    state.access.allow_act(&caller)?;
    let query = query.into_inner();
    let selection = match &query.preview {
        Some(earlier) => decode(earlier)?,
        None => {
            let filter = dead_letters::filter(query.family.as_deref(), query.reason.as_deref())?;
            DeadLetterSelection::now(&state.queue, filter).await?
        }
    };
    let found = preview(&state.queue, &selection, SAMPLE_MAX).await?;
    let now = Utc::now();
    let filter = selection.filter();
    page(&PreviewPage {
        frame: Frame::new(state.head(), Nav::DeadLetters, title(act), shell(act.as_str(), filter)),
        title: title(act),
        is_discard: act == LetterAct::Discard,
        action: path(act),
        letters: quantity::counted(found.count, "dead letter"),
        at_once: (found.count > LETTERS_MAX).then(|| quantity::count(LETTERS_MAX)),
        filter: described(filter),
        rows: found.sample.iter().map(|letter| LetterRow::of(letter, now)).collect(),
        has_none: found.count == 0,
        preview: opaque::encode(&selection),
    })
}

/// Changes what a preview has counted.
#[post("/dead/{act}")]
pub(crate) async fn run_act(
    state: web::Data<State>,
    caller: ReqData<Caller>,
    act: web::Path<String>,
    form: web::Form<RunForm>,
) -> Result<HttpResponse, PageError> {
    let act = parse(&act)?;
    let selection = decode(&form.preview)?;
    let acted = act.run(&state.queue, &selection, LETTERS_MAX).await?;
    log(&caller, act, acted);
    let next = if acted.has_more {
        Address::new(path(act)).with("preview", &form.preview)
    } else {
        let filter = selection.filter();
        Address::new(dead_letters::PATH).with_option("family", filter.family.map(|family| family.as_str()))
    };
    Ok(see_other(&notice(act, acted).on(&next.to_string())).finish())
}

/// Changes one letter.
#[post("/dead/{family}/{id}/{act}")]
pub(crate) async fn act_on_one(
    state: web::Data<State>,
    caller: ReqData<Caller>,
    path: web::Path<(String, String, String)>,
) -> Result<HttpResponse, PageError> {
    let (family, id, act) = path.into_inner();
    let act = parse(&act)?;
    let letter = find(&state, &(family, id)).await?;
    let was_there = act.apply(&state.queue, letter.family, &letter.letter.id).await?;
    let acted = Acted { done: was_there.into(), gone: (!was_there).into(), has_more: false };
    log(&caller, act, acted);
    Ok(see_other(&notice(act, acted).on(dead_letters::PATH)).finish())
}

fn notice(act: LetterAct, acted: Acted) -> Notice {
    Notice { done: act.into(), count: acted.done, gone: acted.gone }
}

fn log(caller: &Caller, act: LetterAct, acted: Acted) {
    let outcome = act.outcome();
    tracing::info!(caller = caller.name(), letters = acted.done, outcome, "dead letters {outcome}");
}

fn parse(act: &str) -> Result<LetterAct, ApiError> {
    act.parse().map_err(|_| ApiError::NotFound("there is no such page".to_owned()))
}

fn decode(preview: &str) -> Result<DeadLetterSelection, ApiError> {
    let wrong =
        || ApiError::BadRequest("the preview is not valid: begin with the list of dead letters".to_owned());
    opaque::decode(preview).ok_or_else(wrong)
}

const fn title(act: LetterAct) -> &'static str {
    match act {
        LetterAct::Redrive => "Redrive",
        LetterAct::Discard => "Discard",
    }
}

const fn path(act: LetterAct) -> &'static str {
    match act {
        LetterAct::Redrive => "/dead/redrive",
        LetterAct::Discard => "/dead/discard",
    }
}

/// The filter in words.
fn described(filter: DeadLetterFilter) -> String {
    let family = filter.family.map(|family| format!("family {}", family.as_str().replace('_', " ")));
    let reason = filter.reason.map(|reason| format!("reason {}", reason.as_str().replace('_', " ")));
    let parts: Vec<String> = [family, reason].into_iter().flatten().collect();
    if parts.is_empty() { "all of them".to_owned() } else { parts.join(", ") }
}
