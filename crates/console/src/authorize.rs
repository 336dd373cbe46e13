//! Lets a request pass, or refuses it before its handler sees it.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{Error, web};
use sha2::{Digest as _, Sha256};

use crate::problem::ApiError;
use crate::state::State;

/// Only holders of a valid token pass; on a loopback address, everybody.
pub(crate) async fn authorize<B: MessageBody>(
    state: web::Data<State>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    if !state.access.hosts.allow(&request) {
        return Err(ApiError::WrongHost.into());
    }
    match bearer(&request) {
        Some(token) => {
            let reader = state.database.reader().await.map_err(ApiError::from)?;
            let known = reader.token_with_hash(&sha256(token)).await.map_err(ApiError::from)?;
            known.ok_or(ApiError::WrongToken)?;
        }
        None if state.access.is_loopback => {}
        None => return Err(ApiError::NoToken.into()),
    }
    next.call(request).await
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
