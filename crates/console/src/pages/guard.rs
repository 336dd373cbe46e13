//! Lets requests for pages pass, and adds the headers of every page.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, ResponseError as _, web};

use super::page_error::PageError;
use super::visit::{self, Visit};
use super::{login, see_other};
use crate::authorize::caller;
use crate::problem::ApiError;
use crate::state::State;

/// What a page may load: only from here, and no script or style within the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Lets a request for a page pass or leads it to the login, and adds the headers of every page.
pub(crate) async fn guard<B: MessageBody>(
    state: web::Data<State>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let mut response = match admit(&state, &request).await {
        Ok(visit) => visit::during(visit, next.call(request)).await?.map_into_left_body(),
        Err(refusal) => {
            let response = match refusal {
                Refusal::LogIn(address) => see_other(&address).finish(),
                Refusal::Error(error) => PageError::from(error).error_response(),
            };
            request.into_response(response).map_into_right_body()
        }
    };
    add_headers(response.headers_mut());
    Ok(response)
}

/// Why a request for a page does not pass.
enum Refusal {
    /// It may pass after a login, at this address.
    LogIn(String),
    Error(ApiError),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

async fn admit(state: &State, request: &ServiceRequest) -> Result<Visit, Refusal> {
    if !state.access.hosts.allow(request) {
        return Err(ApiError::WrongHost.into());
    }
    let caller = caller(state, request.request()).await?;
    let needs_login = !login::is_login(request.path());
    let Some(caller) = caller else {
        return if needs_login { Err(refuse(state, request)) } else { Ok(Visit::default()) };
    };
    if needs_login && !request.method().is_safe() {
        state.access.allow_act(&caller)?;
    }
    let visit = Visit::of(state, &caller, request.uri());
    request.extensions_mut().insert(caller);
    Ok(visit)
}

/// For a request without any proof.
fn refuse(state: &State, request: &ServiceRequest) -> Refusal {
    match state.sessions.passwords.is_any_set() {
        true if request.method().is_safe() => {
            let asked = request.uri().path_and_query().map_or("/", |asked| asked.as_str());
            Refusal::LogIn(login::address(asked))
        }
        true => ApiError::NoOperatorToken.into(),
        false if state.access.proxy.names_users() => ApiError::NoProxyUser.into(),
        false => ApiError::NoLogin.into(),
    }
}

fn add_headers(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}
