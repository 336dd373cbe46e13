//! A file's content as it streams in. It may take as long as bytes keep coming; whatever ends before its announced
//! length is an error (large batch outputs are cut off in practice: openai-python#2959).

use bytes::Bytes;

use crate::client::{Client, segment};
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::exchange::Exchange;

/// The content of a file. An error ends it: the download begins anew or not at all.
pub struct Download {
    /// Bytes, when the answer announces them.
    pub content_length: Option<u64>,
    pub request_id: Option<String>,
    exchange: Exchange,
    ended: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    Broken,
}

impl Client {
    /// `GET /files/{id}/content`.
    ///
    /// # Errors
    /// [`ApiError`] when no content begins.
    pub async fn file_content(&self, file_id: &str) -> Result<Download, ApiError> {
        let path = format!("/files/{}/content", segment(file_id)?);
        let exchange = self.begin(Endpoint::FileContent, &path, "application/binary").await?;
        Ok(Download {
            content_length: exchange.content_length(),
            request_id: exchange.request_id.clone(),
            exchange,
            ended: None,
        })
    }
}

impl Download {
    /// The next piece, `None` after the last one.
    ///
    /// # Errors
    /// [`ApiError::IncompleteDownload`] when the connection breaks, stalls for the idle timeout, or ends early.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, ApiError> {
        match self.ended {
            Some(End::Complete) => return Ok(None),
            Some(End::Broken) => return Err(self.incomplete(None)),
            None => {}
        }
        match self.exchange.chunk().await {
            Ok(Some(chunk)) => Ok(Some(chunk)),
            Ok(None) if self.content_length.is_none_or(|length| length == self.exchange.received_bytes()) => {
                self.ended = Some(End::Complete);
                Ok(None)
            }
            Ok(None) => Err(self.incomplete(None)),
            Err(error) => Err(self.incomplete(Some(error))),
        }
    }

    fn incomplete(&mut self, error: Option<reqwest::Error>) -> ApiError {
        self.ended = Some(End::Broken);
        ApiError::IncompleteDownload {
            received_bytes: self.exchange.received_bytes(),
            content_length: self.content_length,
            request_id: self.request_id.clone(),
            source: error.map(Into::into),
        }
    }
}
