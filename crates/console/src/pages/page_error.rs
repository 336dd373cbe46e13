//! Errors as pages.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError, web};
use askama::Template;
use error_text::chain;

use super::frame::{Frame, Nav};
use crate::problem::ApiError;
use crate::state::Head;

/// A preview is the longest part of a form.
const FORM_BYTES_MAX: usize = 16 * 1024;

/// Why a page cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    #[error(transparent)]
    Api(ApiError),
    #[error("the page cannot be written")]
    Template(#[source] askama::Error),
}

/// For whatever an API call can fail with.
impl<E: Into<ApiError>> From<E> for PageError {
    fn from(error: E) -> Self {
        Self::Api(error.into())
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    detail: String,
    is_ours: bool,
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Api(error) => error.status_code(),
            Self::Template(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let is_ours = status.is_server_error();
        if is_ours {
            tracing::error!(error = chain(self), outcome = "failed", "a page could not be shown");
        }
        let (detail, more) = match self {
            Self::Api(error) => (error.detail(), error.header()),
            Self::Template(_) => (self.to_string(), None),
        };
        let title = status.canonical_reason().unwrap_or("Error");
        let frame = Frame::new(Head::default(), Nav::Other, title, "landfall doctor");
        let html = ErrorPage { frame, detail, is_ours }.render().unwrap_or_else(|_| title.to_owned());
        let mut response = HttpResponse::build(status);
        if let Some(header) = more {
            response.insert_header(header);
        }
        response
            .content_type("text/html; charset=utf-8")
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body(html)
    }
}

/// An address that no page has.
pub(crate) async fn no_page() -> Result<HttpResponse, PageError> {
    Err(ApiError::NotFound("there is no such page".to_owned()).into())
}

pub(crate) fn unreadable_form() -> web::FormConfig {
    web::FormConfig::default().limit(FORM_BYTES_MAX).error_handler(|_, _| {
        PageError::from(ApiError::BadRequest("the form cannot be read".to_owned())).into()
    })
}

pub(crate) fn unreadable_query() -> web::QueryConfig {
    web::QueryConfig::default()
        .error_handler(|error, _| PageError::from(ApiError::BadRequest(error.to_string())).into())
}
