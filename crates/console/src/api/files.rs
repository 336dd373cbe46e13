//! The raw bytes of a file.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, get, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use store::FileRecord;

use super::{attachment, private};
use crate::problem::{ApiError, Problem};
use crate::state::State;

/// The raw bytes of a file
///
/// A file of OpenAI by its id, such as the output of a batch, or a large object as OpenAI sent it. `Range` asks for a part.
#[utoipa::path(
    params(
        ("id" = String, Path, description = "Such as file-… or resp_….json"),
        ("Range" = Option<String>, Header, description = "One range of bytes, such as bytes=0-1023")
    ),
    responses(
        (status = 200, content_type = "application/octet-stream", description = "The whole file"),
        (status = 206, content_type = "application/octet-stream", description = "The part asked for"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 416, body = Problem, content_type = "application/problem+json")
    )
)]
#[get("/files/{id}/content")]
pub(crate) async fn content(
    state: web::Data<State>,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    state.bodies_for(&request).require()?;
    let store = state.database.reader().await?;
    let file = store.find_file(&id).await?;
    let file = file.ok_or_else(|| ApiError::NotFound(format!("no file is stored under the id {:?}", *id)))?;
    let range = asked_range(&request, file.bytes)?;
    let mut response = match range {
        None => HttpResponse::Ok(),
        Some((first, last)) => {
            let mut response = HttpResponseBuilder::new(StatusCode::PARTIAL_CONTENT);
            response.insert_header((header::CONTENT_RANGE, format!("bytes {first}-{last}/{}", file.bytes)));
            response
        }
    };
    describe(&mut response, &file);
    let (length, pieces) = match range {
        None => (file.bytes, store.files().open(&file.location).await?),
        Some((first, last)) => {
            (last - first + 1, store.files().open_range(&file.location, first..last + 1).await?)
        }
    };
    Ok(response.no_chunking(length).streaming(pieces))
}

/// Nothing that a file contains may run in a browser: it is always saved, under a safe name.
fn describe(response: &mut HttpResponseBuilder, file: &FileRecord) {
    private(response);
    let name = file.filename.as_deref().unwrap_or(&file.file_id);
    response
        .content_type("application/octet-stream")
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::CONTENT_DISPOSITION, attachment(name)))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"));
    if let Some(hash) = bytes_of_hex(&file.sha256) {
        let hash = STANDARD.encode(hash);
        response.insert_header(("Digest", format!("sha-256={hash}")));
        response.insert_header(("Repr-Digest", format!("sha-256=:{hash}:")));
    }
}

/// The first and last byte that the client wants; `None` for the whole file. Of several ranges the whole file is sent,
/// which is allowed.
fn asked_range(request: &HttpRequest, bytes: u64) -> Result<Option<(u64, u64)>, ApiError> {
    let Some(range) = request.headers().get(header::RANGE).and_then(|range| range.to_str().ok()) else {
        return Ok(None);
    };
    let Ok(header::Range::Bytes(ranges)) = range.parse::<header::Range>() else { return Ok(None) };
    let [range] = ranges.as_slice() else { return Ok(None) };
    let range = range.to_satisfiable_range(bytes);
    range.map(Some).ok_or(ApiError::WrongRange { bytes })
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks_exact(2);
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    (text.len() == 64).then(|| digits.map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_sent_only_if_it_is_one() {
        assert_eq!(bytes_of_hex(&"0f".repeat(32)), Some(vec![15; 32]));
        for none in ["none", "", &"0g".repeat(32), &"ä".repeat(32)] {
            assert_eq!(bytes_of_hex(none), None, "{none}");
        }
    }
}
