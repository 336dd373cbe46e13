//! One eval run: how many items passed, in total and by criterion.

use actix_web::{HttpRequest, HttpResponse, get, web};
use askama::Template;
use chrono::{DateTime, Utc};
use serde_json::Value;
use store::{EvalRunRecord, Found};
use webhook::Family;

use super::absent::absent;
use super::address;
use super::facts::{self, Fact, Facts};
use super::frame::{Frame, Nav};
use super::object_events::{ObjectEvent, object_events};
use super::page;
use super::page_error::PageError;
use super::quantity;
use super::state_word::StateWord;
use crate::bodies::BodyAccess;
use crate::state::State;

const CRITERIA_MAX: usize = 100;

#[derive(Template)]
#[template(path = "eval_run.html")]
struct EvalRunPage {
    frame: Frame,
    id: String,
    state: StateWord,
    summary: String,
    error: Option<String>,
    facts: Vec<Fact>,
    total: i64,
    counts: Vec<Count>,
    criteria: Vec<Criterion>,
    events: Vec<ObjectEvent>,
    json: Option<String>,
    json_href: String,
}

struct Count {
    name: &'static str,
    is_good: bool,
    count: i64,
    shown: String,
}

struct Criterion {
    name: String,
    passed: i64,
    total: i64,
    shown: String,
}

/// An eval run by its id.
#[get("/evals/{id}")]
pub(crate) async fn eval_run_page(
    state: web::Data<State>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let store = state.database.reader().await?;
    let found = store.find_object(Family::Eval, &id).await?;
    let Some(Found::EvalRun(run)) = found.into_iter().next() else {
        return absent(&state, Nav::Jobs, &id).await;
    };
    let now = Utc::now();
    let raw = raw(&run, state.bodies_for(&request));
    let json_href = address::object_json(&id);
    page(&EvalRunPage {
        frame: Frame::of_object(state.head(), Nav::Jobs, &id),
        state: StateWord::of_object(run.status.as_deref(), &run.fetch_state),
        summary: summary(&run),
        error: facts::error(run.error.as_deref()),
        facts: facts_of(&run, now),
        total: run.total.unwrap_or(0),
        counts: counts(&run),
        criteria: raw.map(criteria).unwrap_or_default(),
        events: object_events(store, &id, now).await?,
        json: raw.and_then(facts::pretty),
        json_href,
        id: id.into_inner(),
    })
}

/// The object as OpenAI sent it, for those who may read it.
fn raw(run: &EvalRunRecord, bodies: BodyAccess) -> Option<&[u8]> {
    run.raw.as_deref().filter(|_| bodies.require().is_ok())
}

fn summary(run: &EvalRunRecord) -> String {
    let count = |number: i64| quantity::count(number);
    match (run.passed, run.total) {
        (Some(passed), Some(total)) => format!("{} of {} passed", count(passed), count(total)),
        _ => run.name.clone().unwrap_or_default(),
    }
}

fn facts_of(run: &EvalRunRecord, now: DateTime<Utc>) -> Vec<Fact> {
    Facts::new(now)
        .text("Name", run.name.clone())
        .code("Eval", run.eval_id.clone())
        .text("Model", run.model.clone())
        .external("Report", run.report_url.as_deref())
        .time("Created", run.created_at)
        .stored(&run.fetch_state, run.fetched_at, None)
        .text("Project", Some(run.project.clone()))
        .done()
}

fn counts(run: &EvalRunRecord) -> Vec<Count> {
    let count = |name, count: Option<i64>| {
        count.map(|count| Count { name, is_good: name == "Passed", count, shown: quantity::count(count) })
    };
    let counts = [count("Passed", run.passed), count("Failed", run.failed), count("Errored", run.errored)];
    counts.into_iter().flatten().collect()
}

fn criteria(raw: &[u8]) -> Vec<Criterion> {
    let run: Value = serde_json::from_slice(raw).unwrap_or_default();
    let results = run["per_testing_criteria_results"].as_array().map(Vec::as_slice).unwrap_or_default();
    let criterion = |result: &Value| {
        let (passed, failed) = (result["passed"].as_i64()?, result["failed"].as_i64()?);
        let total = passed.saturating_add(failed);
        Some(Criterion {
            name: result["testing_criteria"].as_str()?.to_owned(),
            passed,
            total,
            shown: format!("{} of {}", quantity::count(passed), quantity::count(total)),
        })
    };
    results.iter().filter_map(criterion).take(CRITERIA_MAX).collect()
}
