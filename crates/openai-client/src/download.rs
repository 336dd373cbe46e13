//! A file's content as it streams in. It may take as long as bytes keep coming; whatever ends before its announced
//! length is an error (large batch outputs are cut off in practice: openai-python#2959). When the server can send the
//! rest of the very same bytes, a download that was cut goes on where it stopped, within bounds.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, ETAG, HeaderMap, HeaderValue, IF_RANGE, RANGE};

use crate::byte_range::{ContentRange, content_range, resumable_under};
use crate::client::{Client, segment};
use crate::endpoint::Endpoint;
use crate::error::{ApiError, ErrorKind};
use crate::exchange::{BodyError, Exchange};

const CONTENT_TYPE: &str = "application/binary";
/// So often one download is taken up again, whatever it brings: a file cut every 100 MB may have 10 GB.
const RESUMES_MAX: u32 = 100;
/// So often in a row without a byte. With the idle time-out of each it is less than what a worker calls a standstill.
const FRUITLESS_RESUMES_MAX: u32 = 3;
/// Before the second fruitless resume in a row; doubled before each further one.
const RESUME_DELAY: Duration = Duration::from_millis(500);

/// The content of a file. An error ends it: the download begins anew or not at all.
pub struct Download {
    /// Bytes of the whole file, when an answer announces them, and not those of an archive of it.
    pub content_length: Option<u64>,
    /// Of the answer that is being read.
    pub request_id: Option<String>,
    client: Client,
    path: String,
    exchange: Exchange,
    received_bytes: u64,
    /// Set when the server offers to send the rest of these very bytes.
    resumable_under: Option<HeaderValue>,
    resumes: u32,
    /// Of these, those since the last byte.
    fruitless_resumes: u32,
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
        let exchange = self.begin(Endpoint::FileContent, &path, CONTENT_TYPE).await?;
        Ok(Download {
            content_length: exchange.content_length(),
            request_id: exchange.request_id.clone(),
            client: self.clone(),
            path,
            received_bytes: 0,
            // Ranges count the bytes of the archive, and its next one may be another archive of the same bytes.
            resumable_under: resumable_under(exchange.headers()).filter(|_| !exchange.is_compressed()),
            resumes: 0,
            fruitless_resumes: 0,
            exchange,
            ended: None,
        })
    }
}

impl Download {
    /// The next piece, `None` after the last one.
    ///
    /// # Errors
    /// [`ApiError::IncompleteDownload`] when the connection breaks, stalls for the idle timeout, or ends early, and the
    /// rest cannot be had; what the API answers instead of the rest when that says more.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            match self.ended {
                Some(End::Complete) => return Ok(None),
                Some(End::Broken) => return Err(self.incomplete(None)),
                None => {}
            }
            let cut_by = match self.exchange.chunk().await {
                Ok(Some(chunk)) => {
                    self.received_bytes += chunk.len() as u64;
                    self.fruitless_resumes = 0;
                    return Ok(Some(chunk));
                }
                Ok(None) if self.content_length.is_none_or(|length| length == self.received_bytes) => {
                    self.ended = Some(End::Complete);
                    continue;
                }
                Ok(None) => None,
                Err(error) => Some(error),
            };
            if let Err(error) = self.resume(cut_by).await {
                self.ended = Some(End::Broken);
                return Err(error);
            }
        }
    }

    /// How often it was taken up again after it was cut.
    pub fn resumes(&self) -> u32 {
        self.resumes
    }

    /// Asks for the rest. Afterwards the exchange is one that brings it, or all is there already.
    async fn resume(&mut self, mut cut_by: Option<BodyError>) -> Result<(), ApiError> {
        let Some(etag) = self.resumable_under.clone() else { return Err(self.incomplete(cut_by)) };
        loop {
            if self.resumes >= RESUMES_MAX || self.fruitless_resumes >= FRUITLESS_RESUMES_MAX {
                return Err(self.incomplete(cut_by));
            }
            if let Some(doublings) = self.fruitless_resumes.checked_sub(1) {
                tokio::time::sleep(RESUME_DELAY * 2_u32.pow(doublings)).await;
            }
            self.resumes += 1;
            self.fruitless_resumes += 1;
            match self.ask_for_rest(&etag).await {
                Ok(exchange) => return self.go_on(exchange, &etag, cut_by),
                // The network or the API has a bad moment, which is what a resume is there for.
                Err(error) if error.kind() == ErrorKind::Unavailable => cut_by = Some(error.into()),
                Err(error) => return Err(error),
            }
        }
    }

    async fn ask_for_rest(&self, etag: &HeaderValue) -> Result<Exchange, ApiError> {
        let range = format!("bytes={}-", self.received_bytes);
        let headers = HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static(CONTENT_TYPE)),
            (RANGE, HeaderValue::from_str(&range).expect("a number is a header's text")),
            (IF_RANGE, etag.clone()),
        ]);
        let exchange = self.client.send_with(Endpoint::FileContent, &self.path, headers).await?;
        self.client.accept_rest(exchange).await
    }

    /// Takes what is the rest of the same file, from exactly where it was cut. With anything else, such as the whole of
    /// a file that has changed, nothing can be done with what came so far.
    fn go_on(
        &mut self,
        exchange: Exchange,
        etag: &HeaderValue,
        cut_by: Option<BodyError>,
    ) -> Result<(), ApiError> {
        let same_file = exchange.headers().get(ETAG).is_none_or(|found| found == etag);
        match (exchange.status(), content_range(exchange.headers())) {
            (206, Some(ContentRange::Part { first, last, total_bytes })) => {
                let same_total = match (self.content_length, total_bytes) {
                    (Some(before), Some(now)) => before == now,
                    (Some(before), None) => last < before,
                    (None, now) => now.is_some(),
                };
                let sound = same_file
                    && !exchange.is_compressed()
                    && same_total
                    && first == self.received_bytes
                    && exchange.content_length().is_none_or(|length| length == last - first + 1);
                if sound {
                    self.content_length = self.content_length.or(total_bytes);
                    self.request_id.clone_from(&exchange.request_id);
                    self.exchange = exchange;
                    return Ok(());
                }
            }
            (416, Some(ContentRange::Unsatisfied { total_bytes }))
                if same_file
                    && total_bytes == self.received_bytes
                    && self.content_length.is_none_or(|length| length == total_bytes) =>
            {
                self.ended = Some(End::Complete);
                return Ok(());
            }
            _ => {}
        }
        self.request_id.clone_from(&exchange.request_id);
        Err(self.incomplete(cut_by))
    }

    fn incomplete(&self, source: Option<BodyError>) -> ApiError {
        ApiError::IncompleteDownload {
            received_bytes: self.received_bytes,
            content_length: self.content_length,
            request_id: self.request_id.clone(),
            source,
        }
    }
}
