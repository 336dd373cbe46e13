//! The endpoints that create: `POST /v1/responses`, `/v1/batches` and `/v1/files`. A created response or batch ends after
//! a short delay, as configured; then its webhook is sent.

mod answers;
mod batch_input;
mod batches;
mod job;
mod multipart;
mod params;
mod responses;
mod uploads;

use std::sync::Arc;

use actix_web::HttpResponse;

use crate::api_error::ApiError;
use crate::endpoints::ApiRequest;
use crate::state::State;

/// `None` if nothing is created at this path. With `foreign`, the API key belongs to another project.
pub(crate) fn respond(
    state: &Arc<State>,
    request: &ApiRequest<'_>,
    foreign: bool,
) -> Option<Result<HttpResponse, ApiError>> {
    let create = match (request.method, request.tail) {
        ("POST", "responses") => responses::create,
        ("POST", "batches") => batches::create,
        ("POST", "files") => uploads::create,
        _ => return None,
    };
    // Its objects would have to be kept apart from those of the first project.
    Some(if foreign { Err(ApiError::of_status(403)) } else { create(state, request) })
}
