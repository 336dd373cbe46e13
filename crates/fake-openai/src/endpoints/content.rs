//! `GET /v1/files/{id}/content`: the bytes, whole or in a range.

use actix_web::HttpResponse;
use actix_web::body::{BoxBody, SizedStream};
use serde_json::Value;

use super::asked::Asked;
use crate::api_error::ApiError;
use crate::catalogue::Catalogue;
use crate::kind::Kind;
use crate::ranges::{Wanted, wanted};
use crate::state::Access;

pub(super) fn get(
    catalogue: &Catalogue,
    id: &str,
    access: &Access,
    asked: &Asked<'_>,
) -> Result<HttpResponse, ApiError> {
    let missing = || ApiError::not_found(Kind::File, id);
    let file = catalogue.get(Kind::File, id).ok_or_else(missing)?;
    let content = catalogue.content(id).ok_or_else(missing)?.clone();
    let (len, weak) = (content.len_bytes(), if access.weak_etags { "W/" } else { "" });
    let etag = format!("{weak}{}", content.etag());
    let wanted = match access.ranges {
        true => wanted(asked.range, asked.if_range, &etag, len),
        false => Wanted::Whole,
    };
    let mut response = match wanted {
        Wanted::Whole => HttpResponse::Ok(),
        Wanted::Part { .. } => HttpResponse::PartialContent(),
        Wanted::Unsatisfiable => HttpResponse::RangeNotSatisfiable(),
    };
    if access.ranges {
        response.insert_header(("accept-ranges", "bytes"));
        response.insert_header(("etag", etag));
    }
    response.content_type("application/octet-stream");
    response.insert_header(("content-disposition", disposition(file.get())));
    let (first, end) = match wanted {
        Wanted::Whole => (0, len),
        Wanted::Part { first, last } => {
            response.insert_header(("content-range", format!("bytes {first}-{last}/{len}")));
            (first, last + 1)
        }
        Wanted::Unsatisfiable => {
            response.insert_header(("content-range", format!("bytes */{len}")));
            return Ok(response.finish());
        }
    };
    let stream = content.stream(first, end);
    Ok(response.body(BoxBody::new(SizedStream::new(end - first, Box::pin(stream)))))
}

fn disposition(file: &str) -> String {
    let file: Value = serde_json::from_str(file).unwrap_or_default();
    let name = file["filename"].as_str().unwrap_or("file");
    let name: String = name.chars().filter(|c| c.is_ascii_graphic() && *c != '"').collect();
    format!("attachment; filename=\"{name}\"")
}
