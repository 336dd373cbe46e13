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

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// Says what to write instead.
    #[error("{0}")]
    BadRequest(String),
    #[error("a token is needed: send `Authorization: Bearer` with a token from `landfall token new`")]
    NoToken,
    #[error("the token is unknown or revoked: `landfall token list` shows the valid ones")]
    WrongToken,
    #[error(
        "this call changes something: send `Authorization: Bearer` with a token from `landfall token new NAME --operator`"
    )]
    NoOperatorToken,
    #[error("the token may only read: make one with `landfall token new NAME --operator`")]
    ViewerToken,
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
            | Self::WrongToken
            | Self::NoOperatorToken
            | Self::ViewerToken
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

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NoToken | Self::WrongToken | Self::NoOperatorToken => StatusCode::UNAUTHORIZED,
            Self::WrongHost
            | Self::WrongLink
            | Self::BodiesWithheld(_)
            | Self::ViewerToken
            | Self::ReadOnly => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::WrongMethod { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::WrongRange { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::DatabaseDown(_) | Self::Store(_) | Self::Queue(_) | Self::Requeue(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Json(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Shared(error) => error.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        if status.is_server_error() && !matches!(self, Self::Shared(_)) {
            tracing::error!(error = chain(self), outcome = "failed", "a request could not be answered");
        }
        let mut response = HttpResponseBuilder::new(status);
        match self {
            Self::NoToken | Self::WrongToken | Self::NoOperatorToken => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            Self::WrongMethod { allowed } => {
                response.insert_header((header::ALLOW, allowed.as_str()));
            }
            Self::WrongRange { bytes } => {
                response.insert_header((header::CONTENT_RANGE, format!("bytes */{bytes}")));
            }
            Self::TooMany(_) | Self::DatabaseDown(_) | Self::Store(_) | Self::Queue(_) | Self::Requeue(_) => {
                response.insert_header((header::RETRY_AFTER, RETRY_AFTER_SECS));
            }
            Self::BadRequest(_)
            | Self::ViewerToken
            | Self::ReadOnly
            | Self::WrongHost
            | Self::WrongLink
            | Self::BodiesWithheld(_)
            | Self::NotFound(_)
            | Self::Json(_) => {}
            Self::Shared(error) => return error.error_response(),
        }
        let title = status.canonical_reason().unwrap_or("Error");
        let problem = Problem { kind: "about:blank", title, status: status.as_u16(), detail: self.detail() };
        response
            .content_type("application/problem+json")
            .body(serde_json::to_string(&problem).unwrap_or_default())
    }
}
