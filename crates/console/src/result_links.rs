//! `GET /results/…`: serves a stored result to a client with a signed link, without a token and for any host: the
//! signature is the proof. An invalid or expired link is 403; everything else that does not exist is 404.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use chrono::Utc;
use futures_util::StreamExt as _;
use notifier::{LinkQuery, RESULTS_PATH};
use service::excerpt;
use store::{Found, ResultPayload, Store, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api;
use crate::problem::ApiError;
use crate::state::State;

/// Each response may hold a page of rows; more are refused.
const RESPONSES_MAX: usize = 256;

/// Permits for responses.
pub(crate) fn permits() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(RESPONSES_MAX))
}

/// The path of links.
pub(crate) fn path() -> String {
    format!("/{RESULTS_PATH}/{{project}}/{{id}}")
}

/// What a notification would contain as its `result`, of any size.
pub(crate) async fn result(
    state: web::Data<State>,
    path: web::Path<(String, String)>,
    query: Option<web::Query<LinkQuery>>,
) -> Result<HttpResponse, ApiError> {
    let (project, id) = path.into_inner();
    let Some(secrets) = &state.link_secrets else {
        return Err(ApiError::NotFound("results are not served here: RESULTS_SECRET is not set".to_owned()));
    };
    if !query.is_some_and(|query| secrets.allow(&project, &id, &query, Utc::now())) {
        let id = excerpt(&id);
        tracing::warn!(
            object.id = id.as_ref(),
            outcome = "refused",
            "a link to a result is invalid or expired"
        );
        return Err(ApiError::WrongLink);
    }
    let permit = Arc::clone(&state.link_permits).try_acquire_owned();
    let permit = permit.map_err(|_| ApiError::TooMany("results"))?;
    let response = find_result(state.database.reader().await?, &project, &id, permit).await?;
    let response =
        response.ok_or_else(|| ApiError::NotFound("nothing is stored under this id".to_owned()))?;
    tracing::info!(object.id = id, project, outcome = "served", "result served");
    Ok(response)
}

/// The permit is held until the whole response is sent.
async fn find_result(
    store: &Store,
    project: &str,
    id: &str,
    permit: OwnedSemaphorePermit,
) -> Result<Option<HttpResponse>, StoreError> {
    for found in store.find(id).await? {
        if let Found::Batch(batch) = found {
            if batch.batch.project == project {
                let rows = ResultPayload::stream_batch(store.clone(), &batch.batch);
                let rows = rows.inspect(move |_| {
                    let _held = &permit;
                });
                return Ok(Some(api::ok().content_type("application/json").streaming(rows)));
            }
            continue;
        }
        if let Some(result) = ResultPayload::of_found(store, project, &found, u64::MAX).await? {
            let value = result.1.value.unwrap_or_default();
            return Ok(Some(api::ok().content_type("application/json").body(value.to_string())));
        }
    }
    Ok(None)
}
