//! `GET /v1/files/{id}/content`, and the content of artifacts: the whole file or a range of it.

use actix_web::HttpResponse;
use actix_web::body::{BoxBody, SizedStream};
use serde_json::Value;

use super::api_request::ApiRequest;
use crate::api_error::ApiError;
use crate::content::FileContent;
use crate::fixtures::Fixtures;
use crate::kind::Kind;
use crate::ranges::{RequestedRange, requested_range};
use crate::state::Access;

/// `kind` is a file, or an artifact of an agent.
pub(super) fn get(
    fixtures: &Fixtures,
    (kind, id): (Kind, &str),
    access: &Access,
    request: &ApiRequest<'_>,
) -> Result<HttpResponse, ApiError> {
    let missing = || ApiError::not_found(kind, id);
    let file = fixtures.get(kind, id).ok_or_else(missing)?;
    let file: Value = serde_json::from_str(file.get()).unwrap_or_default();
    let content = fixtures.content(id).ok_or_else(missing)?.clone();
    Ok(send(content, file["filename"].as_str(), access, request))
}

/// Sends the content, or the requested range of it.
pub(super) fn send(
    content: FileContent,
    name: Option<&str>,
    access: &Access,
    request: &ApiRequest<'_>,
) -> HttpResponse {
    let (len, weak) = (content.len_bytes(), if access.weak_etags { "W/" } else { "" });
    let etag = format!("{weak}{}", content.etag());
    let range = match access.ranges {
        true => requested_range(request.range, request.if_range, &etag, len),
        false => RequestedRange::Whole,
    };
    let mut response = match range {
        RequestedRange::Whole => HttpResponse::Ok(),
        RequestedRange::Part { .. } => HttpResponse::PartialContent(),
        RequestedRange::Unsatisfiable => HttpResponse::RangeNotSatisfiable(),
    };
    if access.ranges {
        response.insert_header(("accept-ranges", "bytes"));
        response.insert_header(("etag", etag));
    }
    response.content_type("application/octet-stream");
    response.insert_header(("content-disposition", disposition(name)));
    let (first, end) = match range {
        RequestedRange::Whole => (0, len),
        RequestedRange::Part { first, last } => {
            response.insert_header(("content-range", format!("bytes {first}-{last}/{len}")));
            (first, last + 1)
        }
        RequestedRange::Unsatisfiable => {
            response.insert_header(("content-range", format!("bytes */{len}")));
            return response.finish();
        }
    };
    let stream = content.stream(first, end);
    response.body(BoxBody::new(SizedStream::new(end - first, Box::pin(stream))))
}

fn disposition(name: Option<&str>) -> String {
    let name: String = name.unwrap_or("file").chars().filter(|c| c.is_ascii_graphic() && *c != '"').collect();
    format!("attachment; filename=\"{name}\"")
}
