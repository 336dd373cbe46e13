//! One request and its response body: decoded, counted for the observer, and read within size and time limits.

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use reqwest::Url;
use reqwest::header::{DATE, HeaderMap, LOCATION};

use crate::body_memory::BodyReservation;
use crate::content_coding::ContentCoding;
use crate::endpoint::{Endpoint, Observation};
use crate::error::{ApiError, Refusal};
use crate::retry_hint::RetryHint;

/// Error bodies have a few hundred bytes; longer ones are ignored.
const ERROR_BYTES_MAX: usize = 64 << 10;
const REQUEST_ID_CHARS_MAX: usize = 128;
const HOST_CHARS_MAX: usize = 255;
/// Maximum allocation based on `Content-Length`; more is allocated as bytes arrive.
const PREALLOCATED_BYTES_MAX: usize = 1 << 20;

/// Why a body cannot be read.
pub(crate) type BodyError = Box<dyn Error + Send + Sync>;

/// A response whose head has arrived.
pub(crate) struct Exchange {
    response: reqwest::Response,
    coding: ContentCoding,
    observation: Observation,
    pub(crate) request_id: Option<String>,
}

impl Exchange {
    /// Sends the request and waits for the head of the response, whatever its status.
    pub(crate) async fn send(
        request: reqwest::RequestBuilder,
        mut observation: Observation,
    ) -> Result<Self, ApiError> {
        let endpoint = observation.observed.endpoint;
        let sent = request.send().await;
        let response = sent.map_err(|error| unavailable(endpoint, None, Box::new(error.without_url())))?;
        observation.observed.status = Some(response.status().as_u16());
        let request_id = request_id(response.headers());
        let coding = ContentCoding::of(response.headers());
        Ok(Self { response, coding, observation, request_id })
    }

    /// Returns the response if it is a usable 200; anything else is an error.
    pub(crate) async fn accept(self, error_timeout: Duration, api_key: &str) -> Result<Self, ApiError> {
        self.accept_status(&[200], error_timeout, api_key).await
    }

    /// Returns the response to a `Range` request if it is about ranges (206, 416) or contains everything (200).
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
        match self.coding {
            ContentCoding::Identity | ContentCoding::Compressed(_) => Ok(self),
            ContentCoding::Unknown(coding) => {
                let endpoint = self.observation.observed.endpoint;
                Err(ApiError::Compressed { endpoint, request_id: self.request_id, coding })
            }
        }
    }

    pub(crate) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The clock of the server, from the `Date` header.
    pub(crate) fn server_time(&self) -> Option<DateTime<Utc>> {
        retry_after::http_date(self.response.headers().get(DATE)?.to_str().ok()?)
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        self.observation.observed.endpoint
    }

    /// The length of the decoded body; `None` for a compressed one, whose `Content-Length` differs.
    pub(crate) fn content_length(&self) -> Option<u64> {
        if self.is_compressed() { None } else { self.response.content_length() }
    }

    pub(crate) fn is_compressed(&self) -> bool {
        matches!(self.coding, ContentCoding::Compressed(_))
    }

    /// The next piece of the decoded body; waits at most the idle time-out of the client for each network chunk.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            if let ContentCoding::Compressed(decoder) = &mut self.coding
                && let Some(plain) = decoder.next()?
            {
                return Ok(Some(plain));
            }
            let chunk = self.response.chunk().await.map_err(reqwest::Error::without_url)?;
            self.observation.observed.bytes += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
            match (&mut self.coding, chunk) {
                (ContentCoding::Compressed(decoder), Some(chunk)) => decoder.push(chunk),
                (ContentCoding::Compressed(decoder), None) => return Ok(decoder.finish()?),
                (ContentCoding::Identity | ContentCoding::Unknown(_), chunk) => return Ok(chunk),
            }
        }
    }

    /// The whole body, of at most `bytes_max` bytes and within `timeout`; `reservation` grows with it.
    pub(crate) async fn body(
        mut self,
        bytes_max: usize,
        timeout: Duration,
        reservation: &mut BodyReservation,
    ) -> Result<Bytes, ApiError> {
        let endpoint = self.observation.observed.endpoint;
        let read = self.read(bytes_max, timeout, reservation).await;
        let request_id = self.request_id;
        match read {
            Ok(Some(body)) => Ok(body),
            Ok(None) => Err(ApiError::TooLarge { endpoint, request_id, bytes_max }),
            Err(error) => Err(unavailable(endpoint, request_id, error)),
        }
    }

    /// `None` if it is larger. Waiting for the memory budget does not count as time of the sender.
    async fn read(
        &mut self,
        bytes_max: usize,
        timeout: Duration,
        reservation: &mut BodyReservation,
    ) -> Result<Option<Bytes>, BodyError> {
        let announced = self.response.content_length().unwrap_or(0);
        let announced = usize::try_from(announced).unwrap_or(usize::MAX);
        if announced > bytes_max {
            return Ok(None);
        }
        reservation.cover(announced, bytes_max).await;
        let mut body = BytesMut::with_capacity(announced.min(PREALLOCATED_BYTES_MAX));
        let mut left = timeout;
        loop {
            let began = Instant::now();
            let Some(chunk) = tokio::time::timeout(left, self.chunk()).await?? else { break };
            left = left.saturating_sub(began.elapsed());
            let received = usize::try_from(self.observation.observed.bytes).unwrap_or(usize::MAX);
            if (body.len() + chunk.len()).max(received) > bytes_max {
                return Ok(None);
            }
            reservation.cover(body.len() + chunk.len(), bytes_max).await;
            body.extend_from_slice(&chunk);
        }
        reservation.shrink_to(body.len());
        Ok(Some(body.freeze()))
    }

    async fn refusal(mut self, timeout: Duration, api_key: &str) -> ApiError {
        let refusal = Refusal {
            endpoint: self.observation.observed.endpoint,
            status: self.status(),
            code: None,
            message: None,
            request_id: self.request_id.clone(),
            redirect_host: self.redirect_host(),
            hint: RetryHint::read(self.response.headers(), Utc::now()),
        };
        // The status is sufficient if the body does not arrive.
        let body = self.read(ERROR_BYTES_MAX, timeout, &mut BodyReservation::default()).await;
        let body = body.ok().flatten().unwrap_or_default();
        ApiError::Refused(Box::new(refusal.with_body(&body, api_key)))
    }

    /// The host and port of a redirect that was not followed; the rest of the URL may contain a signature.
    fn redirect_host(&self) -> Option<String> {
        if !self.response.status().is_redirection() {
            return None;
        }
        let location = self.response.headers().get(LOCATION)?;
        let url = self.response.url().join(&String::from_utf8_lossy(location.as_bytes())).ok()?;
        Some(authority(&url)?.chars().take(HOST_CHARS_MAX).collect())
    }
}

fn authority(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
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
