//! The API's endpoints under `/v1` that read: maps a path to an object or a list. `creation.rs` has those that create.

mod agents;
mod api_request;
mod containers;
mod content;
mod responses;

use actix_web::HttpResponse;
use serde_json::Value;

use crate::api_error::ApiError;
use crate::fixtures::Fixtures;
use crate::http_response::json;
use crate::kind::Kind;
use crate::page::{Item, ListRules, Ordering, page};
use crate::query::Query;
use crate::state::State;

pub(crate) use api_request::ApiRequest;

/// Batches, jobs and their events.
const NEWEST_FIRST: ListRules =
    ListRules { limit_default: 20, limit_max: 100, order: Ordering::NewestFirst, with_ids: true };
const FILES: ListRules = ListRules {
    limit_default: 10_000,
    limit_max: 10_000,
    order: Ordering::ByParameter { newest_first_by_default: true },
    with_ids: true,
};
const CONTAINERS: ListRules = ListRules { limit_default: 20, limit_max: 100, ..FILES };
const EVALS: ListRules = ListRules {
    limit_default: 20,
    limit_max: 100,
    order: Ordering::ByParameter { newest_first_by_default: false },
    with_ids: true,
};
const RUN_STATES: [&str; 5] = ["queued", "in_progress", "completed", "canceled", "failed"];

/// The response without faults. With `foreign`, the API key belongs to another project and sees no object.
pub(crate) fn respond(
    state: &State,
    request: &ApiRequest<'_>,
    foreign: bool,
) -> Result<HttpResponse, ApiError> {
    let empty = Fixtures::default();
    let guard;
    let fixtures = if foreign {
        &empty
    } else {
        guard = state.fixtures();
        &*guard
    };
    let segments: Vec<&str> = request.tail.split('/').collect();
    let get = |kind: Kind, id: &str| {
        let raw = fixtures.get(kind, id).ok_or_else(|| ApiError::not_found(kind, id))?;
        Ok(json(raw.get().to_owned()))
    };
    let query = &request.query;
    if !exists(&segments) {
        return Err(ApiError::invalid_url(request.method, request.path));
    }
    if request.method != "GET" {
        return Err(ApiError::wrong_method(request.method, request.path));
    }
    match segments[..] {
        ["responses", id] => responses::get(fixtures, id, query),
        ["batches"] => list(fixtures.list(Kind::Batch, None), query, NEWEST_FIRST),
        ["batches", id] => get(Kind::Batch, id),
        ["files"] => list(files(fixtures, query), query, FILES),
        ["files", id] => get(Kind::File, id),
        ["files", id, "content"] => content::get(fixtures, (Kind::File, id), &state.access(), request),
        ["containers"] => list(fixtures.list(Kind::Container, None), query, CONTAINERS),
        ["containers", id] => containers::get(fixtures, id),
        ["containers", id, "files"] => list(containers::files(fixtures, id)?, query, CONTAINERS),
        ["containers", container_id, "files", id] => containers::file(fixtures, container_id, id),
        ["containers", container_id, "files", id, "content"] => {
            containers::content(fixtures, (container_id, id), &state.access(), request)
        }
        ["fine_tuning", "jobs"] => list(jobs(fixtures, query), query, without_ids(NEWEST_FIRST)),
        ["fine_tuning", "jobs", id] => get(Kind::FineTuningJob, id),
        ["fine_tuning", "jobs", id, "checkpoints"] => {
            let rules = ListRules { limit_default: 10, ..NEWEST_FIRST };
            list(children(fixtures, Kind::Checkpoint, id)?, query, rules)
        }
        ["fine_tuning", "jobs", id, "events"] => {
            let events = children(fixtures, Kind::JobEvent, id)?;
            list(events, query, without_ids(NEWEST_FIRST))
        }
        ["models"] => list(fixtures.list(Kind::Model, None), query, without_ids(FILES)),
        ["models", id] => get(Kind::Model, id),
        ["evals"] => list(evals(fixtures, query)?, query, EVALS),
        ["evals", id] => get(Kind::Eval, id),
        ["evals", id, "runs"] => list(runs(fixtures, id, query)?, query, EVALS),
        ["evals", eval_id, "runs", id] => {
            let raw = fixtures.get_of(Kind::EvalRun, eval_id, id);
            let raw = raw.ok_or_else(|| ApiError::not_found(Kind::EvalRun, id))?;
            Ok(json(raw.get().to_owned()))
        }
        ["agents", "sessions", ref rest @ ..] => agents::get(fixtures, rest, &state.access(), request),
        ["safety", "alerts", id] => get(Kind::SafetyAlert, id),
        _ => Err(ApiError::invalid_url(request.method, request.path)),
    }
}

/// Whether the path exists, to tell a wrong method (405) from an unknown path (404).
fn exists(segments: &[&str]) -> bool {
    matches!(
        segments,
        ["responses"]
            | ["responses", _]
            | ["batches" | "files" | "containers" | "models" | "evals"]
            | ["batches" | "files" | "containers" | "models" | "evals", _]
            | ["files", _, "content"]
            | ["containers", _, "files"]
            | ["containers", _, "files", _]
            | ["containers", _, "files", _, "content"]
            | ["fine_tuning", "jobs"]
            | ["fine_tuning", "jobs", _]
            | ["fine_tuning", "jobs", _, "checkpoints" | "events"]
            | ["evals", _, "runs"]
            | ["evals", _, "runs", _]
            | ["safety", "alerts", _]
            | ["agents", "sessions"]
            | ["agents", "sessions", _]
            | ["agents", "sessions", _, "turns" | "artifacts"]
            | ["agents", "sessions", _, "turns" | "artifacts", _]
            | ["agents", "sessions", _, "turns", _, "items"]
            | ["agents", "sessions", _, "artifacts", _, "content"]
    )
}

fn list(items: Vec<Item>, query: &Query, rules: ListRules) -> Result<HttpResponse, ApiError> {
    page(items, query, rules).map(json)
}

const fn without_ids(rules: ListRules) -> ListRules {
    ListRules { with_ids: false, ..rules }
}

fn children(fixtures: &Fixtures, kind: Kind, job_id: &str) -> Result<Vec<Item>, ApiError> {
    let job = fixtures.get(Kind::FineTuningJob, job_id);
    job.ok_or_else(|| ApiError::not_found(Kind::FineTuningJob, job_id))?;
    Ok(fixtures.list(kind, Some(job_id)))
}

/// A field of an object, if the object is valid JSON.
fn field(item: &Item, name: &str) -> Option<Value> {
    let mut object: Value = serde_json::from_str(item.raw.get()).ok()?;
    Some(object.get_mut(name)?.take())
}

fn files(fixtures: &Fixtures, query: &Query) -> Vec<Item> {
    let mut files = fixtures.list(Kind::File, None);
    if let Some(purpose) = query.get("purpose") {
        files.retain(|file| field(file, "purpose").is_some_and(|found| found == purpose));
    }
    files
}

fn jobs(fixtures: &Fixtures, query: &Query) -> Vec<Item> {
    let mut jobs = fixtures.list(Kind::FineTuningJob, None);
    for (key, wanted) in query.nested("metadata") {
        jobs.retain(|job| field(job, "metadata").is_some_and(|metadata| metadata[key] == wanted));
    }
    jobs
}

fn evals(fixtures: &Fixtures, query: &Query) -> Result<Vec<Item>, ApiError> {
    let mut evals = fixtures.list(Kind::Eval, None);
    let order_by = query.one_of("order_by", &["created_at", "updated_at"])?;
    if order_by == Some("updated_at") {
        // An eval has no update time; its latest run is the last change.
        for eval in &mut evals {
            let runs = fixtures.list(Kind::EvalRun, Some(&eval.id));
            let latest = runs.iter().map(|run| run.sort_key.0).max();
            eval.sort_key.0 = eval.sort_key.0.max(latest.unwrap_or_default());
        }
    }
    Ok(evals)
}

fn runs(fixtures: &Fixtures, eval_id: &str, query: &Query) -> Result<Vec<Item>, ApiError> {
    let eval = fixtures.get(Kind::Eval, eval_id);
    eval.ok_or_else(|| ApiError::not_found(Kind::Eval, eval_id))?;
    let mut runs = fixtures.list(Kind::EvalRun, Some(eval_id));
    if let Some(status) = query.one_of("status", &RUN_STATES)? {
        runs.retain(|run| field(run, "status").is_some_and(|found| found == status));
    }
    Ok(runs)
}
