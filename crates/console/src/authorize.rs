//! Finds out who sends a request, and lets a call of the API pass or refuses it before its handler sees it.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, web};
use chrono::Utc;
use store::ApiToken;

use crate::access::{Caller, Login};
use crate::api::{API, openapi};
use crate::problem::ApiError;
use crate::role::Role;
use crate::session;
use crate::state::State;

/// Only callers with a proof pass; without one, only on a loopback address without passwords, to read. A request that may
/// change something passes for operators alone, whatever its route.
pub(crate) async fn authorize<B: MessageBody>(
    state: web::Data<State>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    if !state.access.hosts.allow(&request) {
        return Err(ApiError::WrongHost.into());
    }
    let caller = caller(&state, request.request()).await?.ok_or(ApiError::NoToken)?;
    if !request.method().is_safe() {
        state.access.allow_act(&caller)?;
    }
    request.extensions_mut().insert(caller);
    next.call(request).await
}

/// Refuses a method that no call has, so that it is not mistaken for a missing token.
pub(crate) fn has_method(request: &HttpRequest) -> Result<(), ApiError> {
    let path = request.path().strip_prefix(API).unwrap_or_default();
    match openapi::methods(path) {
        Some(allowed) if !allowed.split(", ").any(|method| method == request.method().as_str()) => {
            Err(ApiError::WrongMethod { allowed })
        }
        _ => Ok(()),
    }
}

/// Who sent the request, by the strongest proof that it has: a token, a session, the word of the proxy. `None` without any,
/// where one is needed.
pub(crate) async fn caller(state: &State, request: &HttpRequest) -> Result<Option<Caller>, ApiError> {
    if let Some(token) = bearer(request) {
        let known = state.database.reader().await?.token_with_hash(&ApiToken::sha256_of(token)).await?;
        return known.map(Caller::Token).ok_or(ApiError::WrongToken).map(Some);
    }
    let proxy = &state.access.proxy;
    let user = proxy.user(request);
    let role = match session::of_request(request, proxy.is_https(request)) {
        Some(session) => state.sessions.role(session, Utc::now()).await?,
        None => None,
    };
    Ok(match (role, user) {
        (Some(role), Some(user)) => Some(Caller::Person { login: Login::Both(user), role }),
        (Some(role), None) => Some(Caller::Person { login: Login::Password, role }),
        (None, Some(user)) => {
            // Where operators have a password, the proxy only says who someone is.
            let has_password = state.sessions.passwords.of(Role::Operator).is_some();
            let role = if has_password { Role::Viewer } else { Role::Operator };
            Some(Caller::Person { login: Login::Proxy(user), role })
        }
        (None, None) => state.access.is_open.then_some(Caller::Anybody),
    })
}

/// The token of a request.
pub(crate) fn bearer(request: &HttpRequest) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
