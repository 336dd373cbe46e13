//! Helpers that build HTTP responses.

use actix_web::HttpResponse;
use actix_web::http::header;

/// 200 with this JSON.
pub(crate) fn json(text: String) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(text)
}

/// Adds a header to the response. A value that is not valid in a header is ignored.
pub(crate) fn with_header(mut response: HttpResponse, name: &'static str, value: &str) -> HttpResponse {
    if let Ok(value) = header::HeaderValue::from_str(value) {
        response.headers_mut().insert(header::HeaderName::from_static(name), value);
    }
    response
}
