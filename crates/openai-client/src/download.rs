//! Streams the content of a file. A download may take as long as bytes keep arriving; ending before the announced
//! length is an error (large batch outputs are cut off in practice: openai-python#2959). If the server can send the
//! rest of the same bytes, an interrupted download is resumed, within limits.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ETAG, HeaderValue, IF_RANGE, RANGE};

use crate::byte_range::{ContentRange, content_range, range_validator};
use crate::client::{Client, headers_of, segment};
use crate::endpoint::Endpoint;
use crate::error::{ApiError, ErrorKind};
use crate::exchange::{BodyError, Exchange};

const CONTENT_TYPE: &str = "application/binary";
/// Maximum number of resumes of one download: a file that is cut every 100 MB may have 10 GB.
const RESUMES_MAX: u32 = 100;
/// Maximum number of consecutive resumes without a byte. With their idle time-outs they take less time than the stall
/// time-out of a worker.
const FRUITLESS_RESUMES_MAX: u32 = 3;
/// Delay before the second fruitless resume in a row; doubled for each further one.
const RESUME_DELAY: Duration = Duration::from_millis(500);

/// The content of a file. After an error the download cannot continue.
pub struct Download {
    /// The length of the file, if the response announces it and is not compressed.
    pub content_length: Option<u64>,
    /// The request id of the current response.
    pub request_id: Option<String>,
    client: Client,
    path: String,
    /// The header `OpenAI-Beta`.
    beta: Option<&'static str>,
    exchange: Exchange,
    received_bytes: u64,
    /// Set if the server can send the rest of the same bytes.
    range_validator: Option<HeaderValue>,
    resumes: u32,
    /// Resumes since the last byte.
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
    /// [`ApiError`] if the download cannot start.
    pub async fn file_content(&self, file_id: &str) -> Result<Download, ApiError> {
        let path = format!("/files/{}/content", segment(file_id)?);
        self.download(Endpoint::FileContent, path, None).await
    }

    /// Begins a download.
    pub(crate) async fn download(
        &self,
        endpoint: Endpoint,
        path: String,
        beta: Option<&'static str>,
    ) -> Result<Download, ApiError> {
        let exchange = self.begin(endpoint, &path, headers_of(CONTENT_TYPE, beta)).await?;
        Ok(Download {
            content_length: exchange.content_length(),
            request_id: exchange.request_id.clone(),
            client: self.clone(),
            path,
            beta,
            received_bytes: 0,
            // Ranges refer to the bytes of the archive, and the next archive of the same content may differ.
            range_validator: range_validator(exchange.headers()).filter(|_| !exchange.is_compressed()),
            resumes: 0,
            fruitless_resumes: 0,
            exchange,
            ended: None,
        })
    }
}

impl Download {
    /// The next piece of content, or `None` at the end.
    ///
    /// # Errors
    /// [`ApiError::IncompleteDownload`] if the connection breaks, stalls for the idle time-out or ends early, and the
    /// rest cannot be fetched; or the error response to the request for the rest.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            match self.ended {
                Some(End::Complete) => return Ok(None),
                Some(End::Broken) => return Err(self.incomplete(None)),
                None => {}
            }
            let cause = match self.exchange.chunk().await {
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
            if let Err(error) = self.resume(cause).await {
                self.ended = Some(End::Broken);
                return Err(error);
            }
        }
    }

    /// How often the download was resumed.
    pub fn resumes(&self) -> u32 {
        self.resumes
    }

    /// Requests the rest. On success, the exchange continues with it, or the download is complete.
    async fn resume(&mut self, mut cause: Option<BodyError>) -> Result<(), ApiError> {
        let Some(etag) = self.range_validator.clone() else { return Err(self.incomplete(cause)) };
        loop {
            if self.resumes >= RESUMES_MAX || self.fruitless_resumes >= FRUITLESS_RESUMES_MAX {
                return Err(self.incomplete(cause));
            }
            if let Some(doublings) = self.fruitless_resumes.checked_sub(1) {
                tokio::time::sleep(RESUME_DELAY * 2_u32.pow(doublings)).await;
            }
            self.resumes += 1;
            self.fruitless_resumes += 1;
            match self.request_rest(&etag).await {
                Ok(exchange) => return self.continue_with(exchange, &etag, cause),
                // A temporary failure of the network or the API, for which resuming exists.
                Err(error) if error.kind() == ErrorKind::Unavailable => cause = Some(error.into()),
                Err(error) => return Err(error),
            }
        }
    }

    async fn request_rest(&self, etag: &HeaderValue) -> Result<Exchange, ApiError> {
        let range = format!("bytes={}-", self.received_bytes);
        let mut headers = headers_of(CONTENT_TYPE, self.beta);
        headers.insert(RANGE, HeaderValue::from_str(&range).expect("digits are valid in a header"));
        headers.insert(IF_RANGE, etag.clone());
        let exchange = self.client.send_with(self.exchange.endpoint(), &self.path, headers).await?;
        self.client.accept_rest(exchange).await
    }

    /// Continues with the response if it is the rest of the same file from exactly the current position. Otherwise, for
    /// example if the file has changed, the content received so far is useless.
    fn continue_with(
        &mut self,
        exchange: Exchange,
        etag: &HeaderValue,
        cause: Option<BodyError>,
    ) -> Result<(), ApiError> {
        let same_file = exchange.headers().get(ETAG).is_none_or(|found| found == etag);
        match (exchange.status(), content_range(exchange.headers())) {
            (206, Some(ContentRange::Part { first, last, total_bytes })) => {
                let same_total = match (self.content_length, total_bytes) {
                    (Some(before), Some(now)) => before == now,
                    (Some(before), None) => last < before,
                    (None, now) => now.is_some(),
                };
                let is_rest = same_file
                    && !exchange.is_compressed()
                    && same_total
                    && first == self.received_bytes
                    && exchange.content_length().is_none_or(|length| length == last - first + 1);
                if is_rest {
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
        Err(self.incomplete(cause))
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
