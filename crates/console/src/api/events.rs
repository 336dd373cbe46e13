//! The list of events.

use actix_web::{HttpRequest, HttpResponse, get, web};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use store::{EventFilter, EventRecord, PagePosition};
use utoipa::IntoParams;
use webhook::{EventState, Family};

use super::page::{self, Limit, Page};
use super::{json, named, ok};
use crate::problem::{ApiError, Problem};
use crate::state::State;

/// The query of the list of events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventQuery {
    /// Only this family: response, batch, fine_tuning, eval, realtime, agent, safety or other.
    family: Option<String>,
    /// Only events in this state: received, retrying, stored or dead.
    state: Option<String>,
    /// Only events of this project.
    project: Option<String>,
    /// Only events received at this time or later.
    since: Option<DateTime<Utc>>,
    /// `next` of the previous page.
    after: Option<String>,
    /// Rows of a page: 50 if not given.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Lists events
///
/// Newest first.
#[utoipa::path(params(EventQuery), responses((status = 200, body = Page), (status = 400, body = Problem, content_type = "application/problem+json")))]
#[get("/events")]
pub(crate) async fn events(
    state: web::Data<State>,
    request: HttpRequest,
    query: web::Query<EventQuery>,
) -> Result<HttpResponse, ApiError> {
    let query = query.into_inner();
    let limit = Limit::of(query.limit)?;
    let filter = EventFilter {
        project: query.project,
        family: named::<Family>("family", query.family.as_deref())?,
        state: named::<EventState>("state", query.state.as_deref())?,
        since: query.since,
        after: page::decode(query.after.as_deref())?,
        limit: limit.and_one(),
    };
    let rows = state.database.reader().await?.list_events(&filter).await?;
    let position = |row: &EventRecord| PagePosition { at: row.received_at, id: row.webhook_id.clone() };
    json(ok(), &Page::of(rows, limit.0, state.bodies_for(&request), position)?)
}
