//! Signs one delivery and posts it as OpenAI does: no redirects followed, an answer expected within seconds.

use std::time::{Duration, Instant};

use chrono::Utc;
use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use webhook::SigningSecret;

use super::sample::SampleEvent;
use crate::exit::Failure;

/// OpenAI waits "a few seconds".
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Ingest answers with some bytes; whatever else is at the address may send any number.
const ANSWER_BYTES_MAX: usize = 64 << 10;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Posts signed deliveries to one address.
pub(super) struct Courier {
    http: reqwest::Client,
    url: reqwest::Url,
    secret: SigningSecret,
    timestamp_offset_secs: i64,
}

/// The answer to one delivery.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) took: Duration,
}

impl Courier {
    pub(super) fn new(
        url: &reqwest::Url,
        secret: SigningSecret,
        timestamp_offset_secs: i64,
    ) -> Result<Self, Failure> {
        let mut http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN);
        if is_this_machine(url) {
            // A proxy for the outside cannot reach this machine by its loopback address.
            http = http.no_proxy();
        }
        let http =
            http.build().map_err(|error| Failure::unreachable("cannot start an HTTP client", error))?;
        Ok(Self { http, url: url.clone(), secret, timestamp_offset_secs })
    }

    /// Posts one delivery of the event, signed now.
    pub(super) async fn deliver(&self, event: &SampleEvent) -> Result<Answered, reqwest::Error> {
        let timestamp = Utc::now().timestamp().saturating_add(self.timestamp_offset_secs).to_string();
        let signature = self.secret.sign(&event.webhook_id, &timestamp, &event.body);
        let started = Instant::now();
        let mut answer = self
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
        let status = answer.status().as_u16();
        // Read to its end, so that the connection can be used again; but not for ever.
        let mut read = 0;
        while read < ANSWER_BYTES_MAX
            && let Some(chunk) = answer.chunk().await?
        {
            read += chunk.len();
        }
        Ok(Answered { status, took: started.elapsed() })
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
    fn this_machine_is_known_by_its_names() {
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
