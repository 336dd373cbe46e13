//! One request and its answer's body, counted for the observer and read under a cap and a time limit.

use std::error::Error;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_ENCODING, DATE, HeaderMap};

use crate::endpoint::{Endpoint, Observation};
use crate::error::{ApiError, Refusal};
use crate::retry_hint::{RetryHint, http_date};

/// An error's body is a few hundred bytes; of a longer one nothing is used.
const ERROR_BYTES_MAX: usize = 64 << 10;
const REQUEST_ID_CHARS_MAX: usize = 128;
/// So much memory is set aside because an answer announces it; more only as the bytes come.
const ANNOUNCED_BYTES_MAX: usize = 1 << 20;

/// An answer whose head has arrived.
pub(crate) struct Exchange {
    response: reqwest::Response,
    observation: Observation,
    pub(crate) request_id: Option<String>,
}

impl Exchange {
    /// Sends the request and waits for the head of an answer, whatever it is.
    pub(crate) async fn send(
        request: reqwest::RequestBuilder,
        mut observation: Observation,
    ) -> Result<Self, ApiError> {
        let endpoint = observation.observed.endpoint;
        let sent = request.send().await;
        let response = sent.map_err(|error| unavailable(endpoint, None, Box::new(error.without_url())))?;
        observation.observed.status = Some(response.status().as_u16());
        let request_id = request_id(response.headers());
        Ok(Self { response, observation, request_id })
    }

    /// The answer if it is a 200 that can be used; anything else is an error.
    pub(crate) async fn accept(self, error_timeout: Duration, api_key: &str) -> Result<Self, ApiError> {
        self.accept_status(&[200], error_timeout, api_key).await
    }

    /// The answer to a `Range` if it says anything about ranges (206, 416) or sends everything (200).
    pub(crate) async fn accept_rest(self, error_timeout: Duration, api_key: &str) -> Result<Self, ApiError> {
        self.accept_status(&[200, 206, 416], error_timeout, api_key).await
    }

    async fn accept_status(
        self,
        statuses: &[u16],
        error_timeout: Duration,
        api_key: &str,
    ) -> Result<Self, ApiError> {
        if !statuses.contains(&self.status()) {
            return Err(self.refusal(error_timeout, api_key).await);
        }
        let encoding = self.response.headers().get(CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            let endpoint = self.observation.observed.endpoint;
            return Err(ApiError::Compressed { endpoint, request_id: self.request_id });
        }
        Ok(self)
    }

    pub(crate) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The server's clock, by the header `Date`.
    pub(crate) fn server_time(&self) -> Option<DateTime<Utc>> {
        http_date(self.response.headers().get(DATE)?.to_str().ok()?)
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        self.observation.observed.endpoint
    }

    pub(crate) fn content_length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The next piece of the body; waits at most the client's idle timeout.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, reqwest::Error> {
        let chunk = self.response.chunk().await.map_err(reqwest::Error::without_url)?;
        self.observation.observed.bytes += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        Ok(chunk)
    }

    /// The whole body, of at most `bytes_max` bytes, within `timeout`.
    pub(crate) async fn body(mut self, bytes_max: usize, timeout: Duration) -> Result<Bytes, ApiError> {
        let endpoint = self.observation.observed.endpoint;
        let read = tokio::time::timeout(timeout, self.read(bytes_max)).await;
        let request_id = self.request_id;
        match read {
            Ok(Ok(Some(body))) => Ok(body),
            Ok(Ok(None)) => Err(ApiError::TooLarge { endpoint, request_id, bytes_max }),
            Ok(Err(error)) => Err(unavailable(endpoint, request_id, Box::new(error))),
            Err(elapsed) => Err(unavailable(endpoint, request_id, Box::new(elapsed))),
        }
    }

    /// `None` when it is larger.
    async fn read(&mut self, bytes_max: usize) -> Result<Option<Bytes>, reqwest::Error> {
        let announced = self.content_length().map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        if announced > bytes_max {
            return Ok(None);
        }
        let mut body = BytesMut::with_capacity(announced.min(ANNOUNCED_BYTES_MAX));
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > bytes_max {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body.freeze()))
    }

    async fn refusal(mut self, timeout: Duration, api_key: &str) -> ApiError {
        let refusal = Refusal {
            endpoint: self.observation.observed.endpoint,
            status: self.status(),
            code: None,
            message: None,
            request_id: self.request_id.clone(),
            hint: RetryHint::read(self.response.headers(), Utc::now()),
        };
        // The status says enough when the body does not come.
        let body = tokio::time::timeout(timeout, self.read(ERROR_BYTES_MAX)).await;
        let body = body.ok().and_then(Result::ok).flatten().unwrap_or_default();
        ApiError::Refused(Box::new(refusal.with_body(&body, api_key)))
    }
}

fn unavailable(
    endpoint: Endpoint,
    request_id: Option<String>,
    source: Box<dyn Error + Send + Sync>,
) -> ApiError {
    ApiError::Unavailable { endpoint, request_id, source }
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    Some(id.chars().take(REQUEST_ID_CHARS_MAX).collect())
}
