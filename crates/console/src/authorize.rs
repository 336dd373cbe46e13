//! Lets a request pass, or refuses it before its handler sees it.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, web};
use sha2::{Digest as _, Sha256};

use crate::access::Caller;
use crate::api::{API, openapi};
use crate::problem::ApiError;
use crate::state::State;

/// Only holders of a valid token pass; on a loopback address everybody does who only reads. A request that may change
/// something passes for operators alone, whatever its route.
pub(crate) async fn authorize<B: MessageBody>(
    state: web::Data<State>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    if !state.access.hosts.allow(&request) {
        return Err(ApiError::WrongHost.into());
    }
    let caller = caller(&state, &request).await?;
    if !request.method().is_safe() {
        has_method(&request)?;
        state.access.allow_act(&caller)?;
    }
    request.extensions_mut().insert(caller);
    next.call(request).await
}

/// Refuses a method that no call has, so that it is not mistaken for a missing token.
fn has_method(request: &ServiceRequest) -> Result<(), ApiError> {
    let path = request.path().strip_prefix(API).unwrap_or_default();
    match openapi::methods(path) {
        Some(allowed) if !allowed.split(", ").any(|method| method == request.method().as_str()) => {
            Err(ApiError::WrongMethod { allowed })
        }
        _ => Ok(()),
    }
}

async fn caller(state: &State, request: &ServiceRequest) -> Result<Caller, ApiError> {
    let Some(token) = bearer(request) else {
        return if state.access.is_loopback { Ok(Caller::Anybody) } else { Err(ApiError::NoToken) };
    };
    let known = state.database.reader().await?.token_with_hash(&sha256(token)).await?;
    known.map(Caller::Token).ok_or(ApiError::WrongToken)
}

fn bearer(request: &ServiceRequest) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// As the database has it: lower-case hex.
fn sha256(token: &str) -> String {
    Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}
