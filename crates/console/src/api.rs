//! The calls of the API, and what they share: how paths and queries are read, and how a list is cut into pages.

pub(crate) mod acts;
pub(crate) mod dead_letters;
pub(crate) mod event_stream;
pub(crate) mod events;
pub(crate) mod files;
pub(crate) mod lists;
pub(crate) mod objects;
pub(crate) mod opaque;
pub(crate) mod openapi;
pub(crate) mod page;
pub(crate) mod parameters;
pub(crate) mod results;

use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder, web};
use serde::Serialize;

use crate::problem::ApiError;

/// All calls are below this path.
pub(crate) const API: &str = "/api/v1";
/// Longest body of a call.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Refuses a query that a call does not know, and says which part.
pub(crate) fn query_config() -> web::QueryConfig {
    web::QueryConfig::default()
        .error_handler(|error, _| ApiError::BadRequest(format!("{error}: see {API}/openapi.json")).into())
}

pub(crate) fn path_config() -> web::PathConfig {
    web::PathConfig::default().error_handler(|error, _| ApiError::BadRequest(format!("{error}")).into())
}

pub(crate) fn json_config() -> web::JsonConfig {
    web::JsonConfig::default()
        .limit(BODY_BYTES_MAX)
        .error_handler(|error, _| ApiError::BadRequest(format!("{error}: see {API}/openapi.json")).into())
}

pub(crate) fn ok() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    private(&mut response);
    response
}

/// What no cache may keep and no browser may guess the type of.
fn private(response: &mut HttpResponseBuilder) {
    response
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
}

/// Written by serde_json directly: JSON that OpenAI sent stays as it was, byte for byte.
fn json(mut response: HttpResponseBuilder, body: &impl Serialize) -> Result<HttpResponse, ApiError> {
    Ok(response.content_type("application/json").body(serde_json::to_string(body)?))
}

/// The header that makes a browser save a file, under a safe name.
fn attachment(name: &str) -> String {
    let is_safe = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
    let name: String = name.chars().map(|char| if is_safe(char) { char } else { '_' }).take(120).collect();
    format!("attachment; filename=\"{}\"", name.trim_start_matches('.'))
}
