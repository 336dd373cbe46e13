//! The notifier against real sockets: requests, forbidden addresses, and the handling of every response.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod config;
mod guard;
mod notification;
mod recipes;
mod responses;

use std::error::Error;
use std::time::Duration;

use notifier::{AllowList, Credentials, Endpoint, EndpointConfig, Signer, system_resolver};

pub(crate) const SECRET: &str = test_support::signed_webhook::SECRET;

/// Signs with the test secret; reaches only public addresses.
pub(crate) fn config(url: &str) -> EndpointConfig {
    let _ = rustls::crypto::ring::default_provider().install_default();
    EndpointConfig {
        url: url.parse().unwrap(),
        url_is_secret: false,
        credentials: Credentials::Signature(Signer::new([SECRET]).unwrap()),
        headers: Vec::new(),
        timeout: Duration::from_secs(20),
        allow: AllowList::default(),
        resolver: system_resolver(),
    }
}

/// The same, with an exception for this URL.
pub(crate) fn allowed(url: &str) -> Endpoint {
    let config = config(url);
    let allow = AllowList::default().with_url(&config.url);
    Endpoint::new(EndpointConfig { allow, ..config }).unwrap()
}

/// An error with all its sources, as in a log.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(&format!(": {error}"));
        next = error.source();
    }
    text
}
