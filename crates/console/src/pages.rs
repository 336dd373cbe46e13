//! The pages for people: HTML written by the server. They work without the script, which only keeps them up to date.

mod absent;
mod address;
mod assets;
pub(crate) mod batch;
mod batch_import;
mod batch_results;
mod body_text;
mod chart;
pub(crate) mod eval_run;
pub(crate) mod event;
pub(crate) mod events;
mod facts;
pub(crate) mod find;
mod frame;
pub(crate) mod health;
pub(crate) mod job;
mod loss_curve;
mod moment;
pub(crate) mod notification;
pub(crate) mod notifications;
pub(crate) mod object;
mod object_events;
pub(crate) mod object_list;
mod object_path;
pub(crate) mod overview;
mod overview_charts;
mod overview_parts;
mod page_error;
mod quantity;
pub(crate) mod response;
mod shell_word;
mod state_word;
mod steps;
pub(crate) mod targets;
mod timeline;
mod worst_finding;

pub(crate) use assets::get_asset;
pub(crate) use page_error::{PageError, no_page, unreadable_query};

use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, web};
use askama::Template;

use crate::access::Caller;
use crate::problem::ApiError;
use crate::state::State;

/// What a page may load: only from here, and no script or style within the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Answers with a page.
fn page(template: &impl Template) -> Result<HttpResponse, PageError> {
    let html = template.render().map_err(PageError::Template)?;
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(html))
}

/// Lets a request for a page pass, and adds the headers of every page.
pub(crate) async fn guard<B: MessageBody>(
    state: web::Data<State>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    if !state.access.hosts.allow(&request) {
        return Err(PageError::from(ApiError::WrongHost).into());
    }
    if !state.access.is_loopback {
        return Err(PageError::from(ApiError::NoToken).into());
    }
    request.extensions_mut().insert(Caller::Anybody);
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
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
    Ok(response)
}
