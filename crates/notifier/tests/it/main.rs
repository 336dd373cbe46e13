//! The notifier against real sockets: what it sends, where it never goes, and what it makes of every answer.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod answers;
mod config;
mod guard;
mod news;
mod recipes;

use std::error::Error;
use std::time::Duration;

use notifier::{AllowList, Endpoint, EndpointConfig, Proof, Signer, system_lookup};

pub(crate) const SECRET: &str = test_support::signed_webhook::SECRET;

/// Signs with the test secret, and reaches nothing but public addresses.
pub(crate) fn config(url: &str) -> EndpointConfig {
    let _ = rustls::crypto::ring::default_provider().install_default();
    EndpointConfig {
        url: url.parse().unwrap(),
        url_is_secret: false,
        proof: Proof::Signature(Signer::new([SECRET]).unwrap()),
        headers: Vec::new(),
        timeout: Duration::from_secs(20),
        allow: AllowList::default(),
        lookup: system_lookup(),
    }
}

/// The same with an exception for exactly this URL.
pub(crate) fn allowed(url: &str) -> Endpoint {
    let config = config(url);
    let allow = AllowList::default().with_place_of(&config.url);
    Endpoint::new(EndpointConfig { allow, ..config }).unwrap()
}

/// An error and all its sources, as a log would show them.
pub(crate) fn told(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(&format!(": {error}"));
        next = error.source();
    }
    text
}
