//! Signs a delivery and posts it as OpenAI does: follows no redirects, expects a response within seconds.

use std::time::{Duration, Instant};

use chrono::Utc;
use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use webhook::SigningSecret;

use super::sample::SampleEvent;
use crate::exit::CliError;

/// OpenAI documents "a few seconds".
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);
/// Ingest's responses are short; another server may send any amount.
const RESPONSE_BYTES_MAX: usize = 64 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Posts signed deliveries to one address.
pub(super) struct WebhookSender {
    http: reqwest::Client,
    url: reqwest::Url,
    secret: SigningSecret,
    timestamp_offset_secs: i64,
}

/// The response to a delivery.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) took: Duration,
}

impl WebhookSender {
    pub(super) fn new(
        url: &reqwest::Url,
        secret: SigningSecret,
        timestamp_offset_secs: i64,
    ) -> Result<Self, CliError> {
        let mut http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(RESPONSE_TIMEOUT);
        if is_this_machine(url) {
            // A proxy cannot reach a loopback address of this machine.
            http = http.no_proxy();
        }
        let http =
            http.build().map_err(|error| CliError::unreachable("cannot create an HTTP client", error))?;
        Ok(Self { http, url: url.clone(), secret, timestamp_offset_secs })
    }

    /// Signs and posts one delivery of the event.
    pub(super) async fn deliver(&self, event: &SampleEvent) -> Result<Response, reqwest::Error> {
        let timestamp = Utc::now().timestamp().saturating_add(self.timestamp_offset_secs).to_string();
        let signature = self.secret.sign(&event.webhook_id, &timestamp, &event.body);
        let started = Instant::now();
        let mut response = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("landfall/", env!("CARGO_PKG_VERSION")))
            .header(webhook::HEADER_ID, &event.webhook_id)
            .header(webhook::HEADER_TIMESTAMP, timestamp)
            .header(webhook::HEADER_SIGNATURE, signature)
            .body(event.body.clone())
            .send()
            .await?;
        let status = response.status().as_u16();
        // Reading to the end allows the connection to be reused; the amount is limited.
        let mut read = 0;
        while read < RESPONSE_BYTES_MAX
            && let Some(chunk) = response.chunk().await?
        {
            read += chunk.len();
        }
        Ok(Response { status, took: started.elapsed() })
    }
}

fn is_this_machine(url: &reqwest::Url) -> bool {
    url.host_str().is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_are_recognized() {
        for (url, is) in [
            ("http://127.0.0.1:8080/x", true),
            ("http://localhost/x", true),
            ("http://[::1]:80/x", true),
            ("https://landfall.example.com/x", false),
            ("http://10.0.0.1/x", false),
        ] {
            assert_eq!(is_this_machine(&url.parse().unwrap()), is, "{url}");
        }
    }
}
