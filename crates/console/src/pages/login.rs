//! Logging in with a password, and out.

use std::time::Instant;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use askama::Template;
use chrono::Utc;
use serde::Deserialize;
use service::settings::trimmed;

use super::address::{self, Address};
use super::frame::{Frame, Nav};
use super::page_error::PageError;
use super::{html, see_other};
use crate::problem::ApiError;
use crate::session;
use crate::state::State;

const LOGIN: &str = "/login";
const LOGOUT: &str = "/logout";
const HOME: &str = "/";

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    /// Where the login leads.
    next: String,
    is_wrong: bool,
}

/// The query of the page.
#[derive(Debug, Deserialize)]
pub(crate) struct LoginQuery {
    next: Option<String>,
}

/// Not `Debug`: it contains a password.
#[derive(Deserialize)]
pub(crate) struct LoginForm {
    password: String,
    next: Option<String>,
}

/// Whether a request needs no login.
pub(super) fn is_login(path: &str) -> bool {
    path == LOGIN || path == LOGOUT
}

/// The login page that leads back to an address.
pub(super) fn address(next: &str) -> String {
    Address::new(LOGIN).with("next", next).to_string()
}

/// The form.
#[get("/login")]
pub(crate) async fn login_page(
    state: web::Data<State>,
    query: web::Query<LoginQuery>,
) -> Result<HttpResponse, PageError> {
    require_passwords(&state)?;
    show(&state, query.into_inner().next.as_deref(), StatusCode::OK)
}

fn show(state: &State, next: Option<&str>, status: StatusCode) -> Result<HttpResponse, PageError> {
    let login = LoginPage {
        frame: Frame::new(state.head(), Nav::Other, "Log in", ""),
        next: next.and_then(address::local).unwrap_or(HOME).to_owned(),
        is_wrong: status != StatusCode::OK,
    };
    html(status, &login)
}

fn require_passwords(state: &State) -> Result<(), ApiError> {
    if state.sessions.passwords.is_any_set() { Ok(()) } else { Err(ApiError::NoLogin) }
}

/// Begins a session.
#[post("/login")]
pub(crate) async fn log_in(
    state: web::Data<State>,
    request: HttpRequest,
    form: web::Form<LoginForm>,
) -> Result<HttpResponse, PageError> {
    require_passwords(&state)?;
    let LoginForm { password, next } = form.into_inner();
    let (access, sessions) = (&state.access, &state.sessions);
    let client = access.proxy.client(&request).ok_or(ApiError::TooManyLogins)?;
    if !access.login_limit.admit(client, Instant::now()) {
        tracing::warn!(client.address = %client, outcome = "refused", "too many passwords were tried");
        return Err(ApiError::TooManyLogins.into());
    }
    let Some(role) = sessions.passwords.role(trimmed(&password)) else {
        tracing::warn!(client.address = %client, outcome = "refused", "a wrong password was tried");
        return show(&state, next.as_deref(), StatusCode::FORBIDDEN);
    };
    let session = sessions.begin(role, Utc::now()).await?;
    access.login_limit.forget(client);
    tracing::info!(client.address = %client, role = role.as_str(), outcome = "logged_in", "someone logged in");
    let mut response = see_other(next.as_deref().and_then(address::local).unwrap_or(HOME));
    let cookie = session::set_cookie(&session, access.proxy.is_https(&request));
    Ok(response.insert_header((header::SET_COOKIE, cookie)).finish())
}

/// Makes the browser forget its session.
#[post("/logout")]
pub(crate) async fn log_out(state: web::Data<State>, request: HttpRequest) -> HttpResponse {
    let cookie = session::delete_cookie(state.access.proxy.is_https(&request));
    see_other(LOGIN).insert_header((header::SET_COOKIE, cookie)).finish()
}
