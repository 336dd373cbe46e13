//! The file object. Its content is streamed, see `download.rs`.

use chrono::{DateTime, Utc};

use crate::client::{Client, Fetched, Get, segment};
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::lenient::{fields, integer, text, text_of, time};

const FILE_BYTES_MAX: usize = 256 << 10;

/// The metadata of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileObject {
    pub id: Option<String>,
    /// The length of the content.
    pub bytes: Option<i64>,
    /// Such as `batch_output` or `fine-tune-results`.
    pub purpose: Option<String>,
    pub filename: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    /// Batch files exist for 30 days or, if requested at creation, as little as an hour.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Client {
    /// `GET /files/{id}`.
    pub async fn file(&self, id: &str) -> Result<Fetched<FileObject>, ApiError> {
        let get = Get::new(Endpoint::Files, format!("/files/{}", segment(id)?), FILE_BYTES_MAX);
        self.get_object(get, id, FileObject::parse, |file| file.id.as_deref()).await
    }
}

impl FileObject {
    /// Fails only if it is not a JSON object.
    pub fn parse(raw: &[u8]) -> Result<Self, serde_json::Error> {
        let json = text_of(raw);
        let [id, bytes, purpose, filename, created_at, expires_at] =
            fields(&json, ["id", "bytes", "purpose", "filename", "created_at", "expires_at"])?;
        Ok(Self {
            id: text(id),
            bytes: integer(bytes),
            purpose: text(purpose),
            filename: text(filename),
            created_at: time(created_at),
            expires_at: time(expires_at),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_its_expiry_are_parsed() {
        let file = FileObject::parse(
            br#"{"id":"file-1","object":"file","bytes":391505535,"created_at":1750861210,"expires_at":1750864810,
            "filename":"batch_1_output.jsonl","purpose":"batch_output","status":"processed"}"#,
        );
        let file = file.unwrap();
        assert_eq!((file.bytes, file.purpose.as_deref()), (Some(391_505_535), Some("batch_output")));
        assert_eq!((file.expires_at.unwrap() - file.created_at.unwrap()).num_seconds(), 3600);
    }

    #[test]
    fn malformed_fields_are_none() {
        let file = FileObject::parse(br#"{"bytes":null,"expires_at":null,"purpose":7,"filename":"a\u0000"}"#)
            .unwrap();
        assert_eq!((file.bytes, file.expires_at, file.purpose), (None, None, None));
        assert_eq!(file.filename.as_deref(), Some("a\u{fffd}"));
        assert!(FileObject::parse(b"[]").is_err());
    }
}
