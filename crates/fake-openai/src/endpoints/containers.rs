//! `GET /v1/containers/…`: containers of the code interpreter, and their files until the container expires.

use actix_web::HttpResponse;
use serde_json::Value;

use super::api_request::ApiRequest;
use super::content;
use crate::api_error::ApiError;
use crate::fixtures::Fixtures;
use crate::http_response::json;
use crate::kind::Kind;
use crate::page::Item;
use crate::state::Access;

/// An expired container still exists, without its files.
pub(super) fn get(fixtures: &Fixtures, id: &str) -> Result<HttpResponse, ApiError> {
    let raw = fixtures.get(Kind::Container, id).ok_or_else(|| ApiError::not_found(Kind::Container, id))?;
    if !fixtures.is_expired(id) {
        return Ok(json(raw.get().to_owned()));
    }
    let mut container: Value = serde_json::from_str(raw.get()).unwrap_or_default();
    container["status"] = "expired".into();
    Ok(json(format!("{container:#}")))
}

pub(super) fn files(fixtures: &Fixtures, id: &str) -> Result<Vec<Item>, ApiError> {
    check(fixtures, id)?;
    Ok(fixtures.list(Kind::ContainerFile, Some(id)))
}

pub(super) fn file(fixtures: &Fixtures, container_id: &str, id: &str) -> Result<HttpResponse, ApiError> {
    check(fixtures, container_id)?;
    let raw = fixtures.get_of(Kind::ContainerFile, container_id, id);
    let raw = raw.ok_or_else(|| ApiError::not_found(Kind::ContainerFile, id))?;
    Ok(json(raw.get().to_owned()))
}

pub(super) fn content(
    fixtures: &Fixtures,
    (container_id, id): (&str, &str),
    access: &Access,
    request: &ApiRequest<'_>,
) -> Result<HttpResponse, ApiError> {
    check(fixtures, container_id)?;
    let missing = || ApiError::not_found(Kind::ContainerFile, id);
    let file = fixtures.get_of(Kind::ContainerFile, container_id, id).ok_or_else(missing)?;
    let file: Value = serde_json::from_str(file.get()).unwrap_or_default();
    let name = file["path"].as_str().and_then(|path| path.rsplit('/').next());
    let found = fixtures.content(id).ok_or_else(missing)?.clone();
    Ok(content::send(found, name, access, request))
}

fn check(fixtures: &Fixtures, container_id: &str) -> Result<(), ApiError> {
    let exists = fixtures.get(Kind::Container, container_id).is_some();
    if exists && !fixtures.is_expired(container_id) {
        return Ok(());
    }
    Err(ApiError::not_found(Kind::Container, container_id))
}
