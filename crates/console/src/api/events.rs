//! The list of events.

use actix_web::{HttpRequest, HttpResponse, get, web};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use store::{EventFilter, EventRecord, PagePosition};
use utoipa::IntoParams;
use webhook::{EventState, Family};

use super::page::{self, Limit, Page};
use super::parameters::{self, event_states, families, named};
use super::{json, ok};
use crate::problem::ApiError;
use crate::state::State;

/// The query of the list of events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventQuery {
    #[param(schema_with = families)]
    family: Option<String>,
    #[param(schema_with = event_states)]
    state: Option<String>,
    /// Only events of this project.
    project: Option<String>,
    /// Only events received at this time or later.
    #[serde(default, deserialize_with = "parameters::since")]
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
#[utoipa::path(params(EventQuery), responses((status = 200, body = Page)))]
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
