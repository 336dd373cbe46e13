//! The list of dead letters.

use actix_web::{HttpRequest, HttpResponse, get, web};
use operations::dead_letters::Letter;
use serde::Deserialize;
use utoipa::IntoParams;
use webhook::Family;

use super::page::{Limit, Page};
use super::parameters::{families, named};
use super::{json, ok};
use crate::problem::ApiError;
use crate::state::State;

/// The query of the list of dead letters.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeadLetterQuery {
    #[param(schema_with = families)]
    family: Option<String>,
    /// Letters of each family: 50 if not given.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Lists dead letters
///
/// The newest of each family, as `landfall dead list --json` prints them. They are in Redis, so this list needs no database.
#[utoipa::path(params(DeadLetterQuery), responses((status = 200, body = Page)))]
#[get("/dead-letters")]
pub(crate) async fn dead_letters(
    state: web::Data<State>,
    request: HttpRequest,
    query: web::Query<DeadLetterQuery>,
) -> Result<HttpResponse, ApiError> {
    let limit = Limit::of(query.limit)?;
    let family = named::<Family>("family", query.family.as_deref())?;
    let families = family.map_or_else(|| Family::ALL.to_vec(), |family| vec![family]);
    let mut letters = Vec::new();
    for family in families {
        let found = state.queue.dead_letters(family, limit.0 as usize).await?;
        letters.extend(found.into_iter().map(|letter| Letter { family, letter }));
    }
    letters.sort_by_key(|letter| std::cmp::Reverse(letter.letter.died_ms));
    let lines: Vec<_> = letters.iter().map(Letter::line).collect();
    json(ok(), &Page::whole(&lines, state.bodies_for(&request))?)
}
