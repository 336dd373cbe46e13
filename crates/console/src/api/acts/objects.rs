//! Fetches an object from OpenAI again.

use actix_web::web::ReqData;
use actix_web::{HttpResponse, post, web};
use operations::fetch::{self, Named};
use operations::requeue::{Requeuer, random_id};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Caller;
use crate::api::json;
use crate::problem::ApiError;
use crate::state::State;

/// An object that a worker will fetch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Enqueued {
    id: String,
    /// The events for which it is fetched, usually one: `/objects/{webhook_id}` shows what became of it.
    webhook_ids: Vec<String>,
}

/// Fetches an object again
///
/// Enqueues the newest event about it, or one that Landfall makes; a worker then asks OpenAI. An object that OpenAI no longer
/// has is left as it is stored.
#[utoipa::path(
    params(("id" = String, Path, description = "Such as resp_…, batch_…, ftjob-… or evalrun_…")),
    responses(
        (status = 202, body = Enqueued)
    )
)]
#[post("/objects/{id}/fetch")]
pub(crate) async fn fetch_object(
    state: web::Data<State>,
    caller: ReqData<Caller>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let webhook_ids = enqueue(&state, &caller, &id).await?;
    json(HttpResponse::Accepted(), &Enqueued { id: id.into_inner(), webhook_ids })
}

/// Enqueues the events for which a worker fetches the object, and returns their ids.
pub(crate) async fn enqueue(state: &State, caller: &Caller, id: &str) -> Result<Vec<String>, ApiError> {
    let store = state.database.reader().await?;
    let targets = match fetch::named(store, id).await? {
        Named::Targets(targets) => targets,
        Named::NothingToFetch => {
            return Err(ApiError::BadRequest(format!(
                "there is nothing to fetch for {id:?}: its event contains all of it"
            )));
        }
        Named::NotAnObject => {
            return Err(ApiError::BadRequest(format!(
                "{id:?} is not the id of an object that can be fetched"
            )));
        }
    };
    let mut requeuer = Requeuer::new(&state.queue_config, random_id())?;
    let mut webhook_ids = Vec::new();
    for target in targets {
        let cause = target.cause(store).await?;
        cause.enqueue(&mut requeuer).await?;
        webhook_ids.push(cause.webhook_id().to_owned());
    }
    tracing::info!(
        caller = caller.name(),
        object.id = id,
        outcome = "enqueued",
        "an object is fetched again"
    );
    Ok(webhook_ids)
}
