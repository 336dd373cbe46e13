//! Errors of the API, as problem details (RFC 9457).

use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use error_text::chain;
use operations::RecordError;
use operations::fetch::FetchError;
use operations::requeue::RequeueError;
use queue::QueueError;
use serde::Serialize;
use store::StoreError;
use utoipa::ToSchema;

use crate::bodies::BodiesWithheld;
use crate::database::DatabaseDown;

/// Seconds after which a client should try again what failed for lack of Redis, a database or a free place.
const RETRY_AFTER_SECS: &str = "5";
/// Seconds after which another password may be tried.
const LOGIN_AFTER_SECS: &str = "60";

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// Says what to write instead.
    #[error("{0}")]
    BadRequest(String),
    #[error("a token is needed: send `Authorization: Bearer` with a token from `landfall token new`")]
    NoToken,
    #[error(
        "this console has no login yet: set CONSOLE_PASSWORD or CONSOLE_VIEWER_PASSWORD, or the same names with _FILE \
         (without a password, pages are shown only if CONSOLE_ADDR is a loopback address)"
    )]
    NoLogin,
    #[error("the proxy named no user: CONSOLE_USER_HEADER is the name of the header that it must send")]
    NoProxyUser,
    #[error("too many passwords were tried from your address: wait a minute")]
    TooManyLogins,
    #[error("this request comes from another web site, or a proxy changed its Host")]
    OtherSite,
    #[error("the token is unknown or revoked: `landfall token list` shows the valid ones")]
    WrongToken,
    #[error(
        "this changes something: log in as an operator (CONSOLE_PASSWORD), or send `Authorization: Bearer` with a token from \
         `landfall token new NAME --operator`"
    )]
    NoOperatorToken,
    #[error("the token may only read: make one with `landfall token new NAME --operator`")]
    ViewerToken,
    #[error("you may only read: log in as an operator, with CONSOLE_PASSWORD")]
    ViewerLogin,
    #[error("the console is read-only: CONSOLE_READ_ONLY is true")]
    ReadOnly,
    #[error("requests for this host are refused: add its name to CONSOLE_HOSTS")]
    WrongHost,
    #[error(transparent)]
    BodiesWithheld(#[from] BodiesWithheld),
    #[error("the link is invalid or has expired")]
    WrongLink,
    #[error("{0}")]
    NotFound(String),
    #[error("this path has only {allowed}")]
    WrongMethod { allowed: String },
    #[error("the range is not within the file, which has {bytes} bytes")]
    WrongRange { bytes: u64 },
    #[error("{0} are open already, which is the limit")]
    TooMany(&'static str),
    #[error(transparent)]
    DatabaseDown(#[from] DatabaseDown),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Requeue(#[from] RequeueError),
    #[error("the database has no key for sessions: the table console_keys has no valid row")]
    NoSessionKey,
    #[error("the password cannot be hashed")]
    SessionKey(#[source] argon2::Error),
    #[error("a row cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// Of an answer that several requests share.
    #[error(transparent)]
    Shared(Arc<ApiError>),
}

impl From<RecordError> for ApiError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Store(error) => error.into(),
            RecordError::Json(error) => error.into(),
        }
    }
}

impl From<FetchError> for ApiError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Store(error) => error.into(),
            FetchError::Requeue(error) => error.into(),
        }
    }
}

/// The body of an error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: the status says which problem it is.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    #[schema(example = "Not Found")]
    title: &'static str,
    #[schema(example = 404)]
    status: u16,
    /// What is wrong, and what to do about it.
    detail: String,
}

impl ApiError {
    /// For the client. Errors of the database and of Redis go to the log in full: they may name tables and addresses.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Store(error) if error.is_too_slow() => {
                "the database took too long: ask for fewer rows, or for a shorter time".to_owned()
            }
            Self::Store(StoreError::Files { .. }) => "the raw file cannot be read".to_owned(),
            Self::Store(_) | Self::DatabaseDown(_) => "the database cannot be read".to_owned(),
            Self::Queue(_) => "Redis cannot be read".to_owned(),
            Self::Requeue(RequeueError::Full(family)) => {
                format!("the {family} queue is full: repeat the call once workers have drained it")
            }
            Self::Requeue(_) => "Redis did not take the event: repeat the call".to_owned(),
            Self::Shared(error) => error.detail(),
            Self::BadRequest(_)
            | Self::NoToken
            | Self::NoLogin
            | Self::NoProxyUser
            | Self::TooManyLogins
            | Self::OtherSite
            | Self::NoSessionKey
            | Self::SessionKey(_)
            | Self::WrongToken
            | Self::NoOperatorToken
            | Self::ViewerToken
            | Self::ViewerLogin
            | Self::ReadOnly
            | Self::WrongHost
            | Self::BodiesWithheld(_)
            | Self::WrongLink
            | Self::NotFound(_)
            | Self::WrongMethod { .. }
            | Self::WrongRange { .. }
            | Self::TooMany(_)
            | Self::Json(_) => self.to_string(),
        }
    }
}

impl ApiError {
    /// What the status alone does not say.
    pub(crate) fn header(&self) -> Option<(header::HeaderName, String)> {
        match self {
            Self::NoToken | Self::WrongToken | Self::NoOperatorToken => {
                Some((header::WWW_AUTHENTICATE, "Bearer".to_owned()))
            }
            Self::WrongMethod { allowed } => Some((header::ALLOW, allowed.clone())),
            Self::WrongRange { bytes } => Some((header::CONTENT_RANGE, format!("bytes */{bytes}"))),
            Self::TooMany(_)
            | Self::NoSessionKey
            | Self::DatabaseDown(_)
            | Self::Store(_)
            | Self::Queue(_)
            | Self::Requeue(_) => Some((header::RETRY_AFTER, RETRY_AFTER_SECS.to_owned())),
            Self::TooManyLogins => Some((header::RETRY_AFTER, LOGIN_AFTER_SECS.to_owned())),
            Self::Shared(error) => error.header(),
            Self::BadRequest(_)
            | Self::ViewerToken
            | Self::ViewerLogin
            | Self::NoLogin
            | Self::NoProxyUser
            | Self::OtherSite
            | Self::SessionKey(_)
            | Self::ReadOnly
            | Self::WrongHost
            | Self::WrongLink
            | Self::BodiesWithheld(_)
            | Self::NotFound(_)
            | Self::Json(_) => None,
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NoToken | Self::WrongToken | Self::NoOperatorToken => StatusCode::UNAUTHORIZED,
            Self::WrongHost
            | Self::WrongLink
            | Self::BodiesWithheld(_)
            | Self::ViewerToken
            | Self::ViewerLogin
            | Self::NoLogin
            | Self::NoProxyUser
            | Self::OtherSite
            | Self::ReadOnly => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::WrongMethod { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::WrongRange { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::TooMany(_) | Self::TooManyLogins => StatusCode::TOO_MANY_REQUESTS,
            Self::NoSessionKey
            | Self::DatabaseDown(_)
            | Self::Store(_)
            | Self::Queue(_)
            | Self::Requeue(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Json(_) | Self::SessionKey(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Shared(error) => error.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::Shared(error) = self {
            return error.error_response();
        }
        let status = self.status_code();
        if status.is_server_error() {
            tracing::error!(error = chain(self), outcome = "failed", "a request could not be answered");
        }
        let mut response = HttpResponseBuilder::new(status);
        if let Some(header) = self.header() {
            response.insert_header(header);
        }
        let title = status.canonical_reason().unwrap_or("Error");
        let problem = Problem { kind: "about:blank", title, status: status.as_u16(), detail: self.detail() };
        response
            .content_type("application/problem+json")
            .body(serde_json::to_string(&problem).unwrap_or_default())
    }
}
