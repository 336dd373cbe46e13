//! Lists of objects and notifications.

use actix_web::{HttpRequest, HttpResponse, get, web};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use store::{NotificationFilter, ObjectFilter, ObjectList, PagePosition};
use utoipa::IntoParams;
use webhook::NotificationState;

use super::page::{self, Limit, Page};
use super::parameters::{self, named, notification_states};
use super::{json, ok};
use crate::bodies::BodyAccess;
use crate::problem::ApiError;
use crate::state::State;

/// The query of a list of objects.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ObjectQuery {
    /// Only objects with this status, as OpenAI named it.
    status: Option<String>,
    /// Only objects of this model.
    model: Option<String>,
    /// Only objects of this project.
    project: Option<String>,
    /// Only objects received at this time or later.
    #[serde(default, deserialize_with = "parameters::since")]
    since: Option<DateTime<Utc>>,
    /// `next` of the previous page.
    after: Option<String>,
    /// Rows of a page: 50 if not given.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

async fn objects(
    state: &State,
    list: ObjectList,
    bodies: BodyAccess,
    query: ObjectQuery,
) -> Result<HttpResponse, ApiError> {
    let limit = Limit::of(query.limit)?;
    let filter = ObjectFilter {
        list,
        project: query.project,
        status: query.status,
        model: query.model,
        since: query.since,
        after: page::decode(query.after.as_deref())?,
        limit: limit.and_one(),
    };
    let rows = state.database.reader().await?.list_objects(&filter).await?;
    let position = |row: &store::ObjectSummary| PagePosition { at: row.received_at, id: row.id.clone() };
    json(ok(), &Page::of(rows, limit.0, bodies, position)?)
}

/// Lists responses
///
/// Newest first, without what the model wrote: see `/objects/{id}`.
#[utoipa::path(params(ObjectQuery), responses((status = 200, body = Page)))]
#[get("/responses")]
pub(crate) async fn responses(
    state: web::Data<State>,
    request: HttpRequest,
    query: web::Query<ObjectQuery>,
) -> Result<HttpResponse, ApiError> {
    objects(&state, ObjectList::Responses, state.bodies_for(&request), query.into_inner()).await
}

/// Lists batches
///
/// Newest first.
#[utoipa::path(params(ObjectQuery), responses((status = 200, body = Page)))]
#[get("/batches")]
pub(crate) async fn batches(
    state: web::Data<State>,
    request: HttpRequest,
    query: web::Query<ObjectQuery>,
) -> Result<HttpResponse, ApiError> {
    objects(&state, ObjectList::Batches, state.bodies_for(&request), query.into_inner()).await
}

/// Lists fine-tuning jobs
///
/// Newest first.
#[utoipa::path(params(ObjectQuery), responses((status = 200, body = Page)))]
#[get("/fine-tuning-jobs")]
pub(crate) async fn fine_tuning_jobs(
    state: web::Data<State>,
    request: HttpRequest,
    query: web::Query<ObjectQuery>,
) -> Result<HttpResponse, ApiError> {
    objects(&state, ObjectList::FineTuningJobs, state.bodies_for(&request), query.into_inner()).await
}

/// Lists eval runs
///
/// Newest first.
#[utoipa::path(params(ObjectQuery), responses((status = 200, body = Page)))]
#[get("/eval-runs")]
pub(crate) async fn eval_runs(
    state: web::Data<State>,
    request: HttpRequest,
    query: web::Query<ObjectQuery>,
) -> Result<HttpResponse, ApiError> {
    objects(&state, ObjectList::EvalRuns, state.bodies_for(&request), query.into_inner()).await
}

/// The query of the list of notifications.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct NotificationQuery {
    /// Only notifications to this target.
    target: Option<String>,
    #[param(schema_with = notification_states)]
    state: Option<String>,
    /// Only notifications created at this time or later.
    #[serde(default, deserialize_with = "parameters::since")]
    since: Option<DateTime<Utc>>,
    /// `next` of the previous page.
    after: Option<String>,
    /// Rows of a page: 50 if not given.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Lists notifications
///
/// Newest first.
#[utoipa::path(params(NotificationQuery), responses((status = 200, body = Page)))]
#[get("/notifications")]
pub(crate) async fn notifications(
    state: web::Data<State>,
    request: HttpRequest,
    query: web::Query<NotificationQuery>,
) -> Result<HttpResponse, ApiError> {
    let query = query.into_inner();
    let limit = Limit::of(query.limit)?;
    let filter = NotificationFilter {
        target: query.target,
        state: named::<NotificationState>("state", query.state.as_deref())?,
        kind: None,
        except: None,
        since: query.since,
        after: page::decode(query.after.as_deref())?,
        limit: limit.and_one(),
    };
    let rows = state.database.reader().await?.list_notifications(&filter).await?;
    let position = |row: &store::NotificationRecord| {
        let notification = &row.notification;
        PagePosition { at: notification.created_at, id: notification.id.clone() }
    };
    json(ok(), &Page::of(rows, limit.0, state.bodies_for(&request), position)?)
}
