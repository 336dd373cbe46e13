//! `GET /v1/agents/sessions/…`: sessions, their turns with items, and their artifacts.

use actix_web::HttpResponse;

use super::api_request::ApiRequest;
use super::content;
use crate::api_error::ApiError;
use crate::fixtures::Fixtures;
use crate::http_response::json;
use crate::kind::Kind;
use crate::page::{ListRules, Ordering, page};
use crate::state::Access;

const BETA: &str = "agents=v1";
const LISTS: ListRules = ListRules {
    limit_default: 20,
    limit_max: 100,
    order: Ordering::ByParameter { newest_first_by_default: true },
    with_ids: true,
};

/// `path` is the part after `/v1/agents/sessions`.
pub(super) fn get(
    fixtures: &Fixtures,
    path: &[&str],
    access: &Access,
    request: &ApiRequest<'_>,
) -> Result<HttpResponse, ApiError> {
    if !request.beta.is_some_and(|beta| beta.split(',').any(|beta| beta.trim() == BETA)) {
        return Err(ApiError::no_beta(BETA));
    }
    let query = &request.query;
    let known = |kind: Kind, id: &str| {
        let raw = fixtures.get(kind, id).ok_or_else(|| ApiError::not_found(kind, id))?;
        Ok::<_, ApiError>(raw.get().to_owned())
    };
    let part = |kind: Kind, session: &str, id: &str| {
        let raw = fixtures.get_of(kind, session, id).ok_or_else(|| ApiError::not_found(kind, id))?;
        Ok::<_, ApiError>(raw.get().to_owned())
    };
    match *path {
        [] => page(fixtures.list(Kind::AgentSession, None), query, LISTS).map(json),
        [id] => known(Kind::AgentSession, id).map(json),
        [session, "turns"] => {
            known(Kind::AgentSession, session)?;
            page(fixtures.list(Kind::AgentTurn, Some(session)), query, LISTS).map(json)
        }
        [session, "turns", id] => part(Kind::AgentTurn, session, id).map(json),
        [session, "turns", turn, "items"] => {
            part(Kind::AgentTurn, session, turn)?;
            page(fixtures.list(Kind::AgentItem, Some(turn)), query, LISTS).map(json)
        }
        [session, "artifacts"] => {
            known(Kind::AgentSession, session)?;
            page(fixtures.list(Kind::AgentArtifact, Some(session)), query, LISTS).map(json)
        }
        [session, "artifacts", id] => part(Kind::AgentArtifact, session, id).map(json),
        [session, "artifacts", id, "content"] => {
            part(Kind::AgentArtifact, session, id)?;
            content::get(fixtures, (Kind::AgentArtifact, id), access, request)
        }
        _ => Err(ApiError::invalid_url(request.method, request.path)),
    }
}
