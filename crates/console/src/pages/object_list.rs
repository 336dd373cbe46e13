//! The lists of responses, batches, fine-tuning jobs and eval runs.

use actix_web::{HttpResponse, get, web};
use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use store::{ObjectFilter, ObjectList, ObjectSummary, PagePosition};
use webhook::FetchState;

use super::address::{self, Address, Chip, Pages, chips};
use super::frame::{Frame, Nav};
use super::moment::Moment;
use super::page;
use super::page_error::PageError;
use super::state_word::StateWord;
use crate::api::page as list;
use crate::state::State;

/// Rows of a page.
const ROWS: u32 = 50;

/// The query of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct ObjectsQuery {
    status: Option<String>,
    model: Option<String>,
    project: Option<String>,
    after: Option<String>,
}

/// What one list has of its own.
struct Listed {
    list: ObjectList,
    nav: Nav,
    path: &'static str,
    api: &'static str,
    title: &'static str,
    /// The statuses that OpenAI documents.
    statuses: &'static [&'static str],
    family: &'static str,
    event_type: &'static str,
}

const RESPONSES: Listed = Listed {
    list: ObjectList::Responses,
    nav: Nav::Responses,
    path: "/responses",
    api: "/api/v1/responses",
    title: "Responses",
    statuses: &["completed", "incomplete", "failed", "cancelled", "in_progress", "queued"],
    family: "response",
    event_type: "response.completed",
};

const BATCHES: Listed = Listed {
    list: ObjectList::Batches,
    nav: Nav::Batches,
    path: "/batches",
    api: "/api/v1/batches",
    title: "Batches",
    statuses: &["completed", "failed", "expired", "cancelled", "in_progress"],
    family: "batch",
    event_type: "batch.completed",
};

const JOBS: Listed = Listed {
    list: ObjectList::FineTuningJobs,
    nav: Nav::Jobs,
    path: "/jobs",
    api: "/api/v1/fine-tuning-jobs",
    title: "Fine-tunes",
    statuses: &["succeeded", "failed", "cancelled", "running"],
    family: "fine_tuning",
    event_type: "fine_tuning.job.succeeded",
};

const EVAL_RUNS: Listed = Listed {
    list: ObjectList::EvalRuns,
    nav: Nav::Jobs,
    path: "/evals",
    api: "/api/v1/eval-runs",
    title: "Eval runs",
    statuses: &["completed", "failed", "canceled", "in_progress"],
    family: "eval",
    event_type: "eval.run.succeeded",
};

#[derive(Template)]
#[template(path = "objects.html")]
struct ObjectsPage {
    frame: Frame,
    title: &'static str,
    path: &'static str,
    /// The other list that shares its place in the menu.
    sibling: Option<(&'static str, &'static str)>,
    statuses: Vec<Chip>,
    status: String,
    model: String,
    project: String,
    rows: Vec<ObjectRow>,
    is_filtered: bool,
    event_type: &'static str,
    pages: Pages,
}

struct ObjectRow {
    received: Moment,
    state: StateWord,
    id: String,
    href: String,
    model: String,
    project: String,
    /// When it was fetched, or why it was not.
    fetched: Option<Moment>,
    fetch_state: StateWord,
}

/// Responses, newest first.
#[get("/responses")]
pub(crate) async fn responses_page(
    state: web::Data<State>,
    query: web::Query<ObjectsQuery>,
) -> Result<HttpResponse, PageError> {
    objects(&state, &RESPONSES, query.into_inner()).await
}

/// Batches, newest first.
#[get("/batches")]
pub(crate) async fn batches_page(
    state: web::Data<State>,
    query: web::Query<ObjectsQuery>,
) -> Result<HttpResponse, PageError> {
    objects(&state, &BATCHES, query.into_inner()).await
}

/// Fine-tuning jobs, newest first.
#[get("/jobs")]
pub(crate) async fn jobs_page(
    state: web::Data<State>,
    query: web::Query<ObjectsQuery>,
) -> Result<HttpResponse, PageError> {
    objects(&state, &JOBS, query.into_inner()).await
}

/// Eval runs, newest first.
#[get("/evals")]
pub(crate) async fn evals_page(
    state: web::Data<State>,
    query: web::Query<ObjectsQuery>,
) -> Result<HttpResponse, PageError> {
    objects(&state, &EVAL_RUNS, query.into_inner()).await
}

async fn objects(state: &State, listed: &Listed, query: ObjectsQuery) -> Result<HttpResponse, PageError> {
    // A form sends its empty fields too.
    let given =
        |value: Option<String>| value.map(|value| value.trim().to_owned()).filter(|it| !it.is_empty());
    let (status, model, project) = (given(query.status), given(query.model), given(query.project));
    let after = given(query.after);
    let filter = ObjectFilter {
        list: listed.list,
        project: project.clone(),
        status: status.clone(),
        model: model.clone(),
        since: None,
        after: list::decode(after.as_deref())?,
        limit: ROWS + 1,
    };
    let mut rows = state.database.reader().await?.list_objects(&filter).await?;
    let has_more = rows.len() > ROWS as usize;
    rows.truncate(ROWS as usize);
    let position = |last: &ObjectSummary| PagePosition { at: last.received_at, id: last.id.clone() };
    let next = rows.last().filter(|_| has_more).map(|last| list::encode(&position(last)));

    let address = Address::new(listed.path)
        .with_option("status", status.as_deref())
        .with_option("model", model.as_deref())
        .with_option("project", project.as_deref());
    let shell = format!("landfall events --family {}", listed.family);
    let now = Utc::now();
    page(&ObjectsPage {
        frame: Frame::new(state.head(), listed.nav, listed.title, shell)
            .with_json(address.below(listed.api).to_string()),
        title: listed.title,
        path: listed.path,
        sibling: match listed.list {
            ObjectList::FineTuningJobs => Some((EVAL_RUNS.path, EVAL_RUNS.title)),
            ObjectList::EvalRuns => Some((JOBS.path, JOBS.title)),
            ObjectList::Responses | ObjectList::Batches => None,
        },
        statuses: chips(&address, "status", status.as_deref(), listed.statuses.iter().copied()),
        rows: rows.into_iter().map(|row| ObjectRow::of(row, listed, now)).collect(),
        is_filtered: address.is_filtered(),
        event_type: listed.event_type,
        pages: Pages::new(&address, after.as_deref(), next.as_deref()),
        status: status.unwrap_or_default(),
        model: model.unwrap_or_default(),
        project: project.unwrap_or_default(),
    })
}

impl ObjectRow {
    fn of(row: ObjectSummary, listed: &Listed, now: DateTime<Utc>) -> Self {
        let is_fetched = row.fetch_state == FetchState::Fetched;
        Self {
            received: Moment::ago(row.received_at, now),
            state: StateWord::of_object(row.status.as_deref(), &row.fetch_state),
            href: address::of(listed.path, &row.id),
            id: row.id,
            model: row.model.unwrap_or_default(),
            project: row.project,
            fetched: row.fetched_at.filter(|_| is_fetched).map(|at| Moment::ago(at, now)),
            fetch_state: StateWord::from(&row.fetch_state),
        }
    }
}
