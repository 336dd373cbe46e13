//! Faults that replace the body: other fields, or the same bytes compressed.

use std::io;

use actix_web::HttpResponse;
use actix_web::body::{BoxBody, to_bytes};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::{Map, Value};

use crate::faults::ContentCoding;
use crate::http_response::with_header;

/// Replaces fields. A body that is not a JSON object is left unchanged.
pub(super) async fn with_fields(response: HttpResponse, fields: &Map<String, Value>) -> HttpResponse {
    let (response, body) = response.into_parts();
    let bytes = to_bytes(body).await.unwrap_or_default();
    let Ok(Value::Object(mut object)) = serde_json::from_slice(&bytes) else {
        return response.set_body(BoxBody::new(bytes));
    };
    object.extend(fields.clone());
    response.set_body(BoxBody::new(format!("{:#}", Value::Object(object))))
}

/// Compresses the body; `Content-Length` is that of the compressed bytes.
pub(super) async fn encoded(response: HttpResponse, coding: ContentCoding) -> HttpResponse {
    let (response, body) = response.into_parts();
    let bytes = to_bytes(body).await.unwrap_or_default();
    let (name, encoded) = match coding {
        ContentCoding::Gzip => {
            let encoder = GzEncoder::new(Vec::new(), Compression::fast());
            ("gzip", written(encoder, &bytes, GzEncoder::finish))
        }
        ContentCoding::Deflate => {
            let encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            ("deflate", written(encoder, &bytes, ZlibEncoder::finish))
        }
        ContentCoding::RawDeflate => {
            let encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
            ("deflate", written(encoder, &bytes, DeflateEncoder::finish))
        }
        ContentCoding::Brotli => ("br", bytes.to_vec()),
    };
    with_header(response.set_body(BoxBody::new(encoded)), "content-encoding", name)
}

fn written<E: io::Write>(
    mut encoder: E,
    bytes: &[u8],
    finish: impl FnOnce(E) -> io::Result<Vec<u8>>,
) -> Vec<u8> {
    encoder.write_all(bytes).and_then(|()| finish(encoder)).expect("writing to memory does not fail")
}
