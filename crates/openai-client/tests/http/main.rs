//! The client against a real socket: requests, and the handling of every kind of failed response.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod access;
mod compressed;
mod downloads;
mod eval_search;
mod permissions;
mod redirects;
mod responses;
mod resumes;
mod server;

use std::error::Error;
use std::time::Duration;

use openai_client::{BodyMemory, Client, ClientConfig};

/// Must not appear in any error.
const KEY: &str = "sk-proj-Wq7-very-secret";

fn config(base_url: String) -> ClientConfig {
    let _ = rustls::crypto::ring::default_provider().install_default();
    ClientConfig {
        base_url,
        api_key: KEY.into(),
        organization: None,
        project: None,
        connect_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(30),
        web_search_results: false,
        observer: None,
        body_memory: BodyMemory::default(),
    }
}

fn client(server: &server::Server) -> Client {
    Client::new(config(server.base_url())).unwrap()
}

/// A client with a short idle time-out.
fn impatient_client(server: &server::Server, idle_timeout: Duration) -> Client {
    Client::new(ClientConfig { idle_timeout, ..config(server.base_url()) }).unwrap()
}

/// Fails instead of hanging forever if a time limit is missing.
async fn within_a_minute<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.unwrap()
}

/// An error with all its sources, in both log formats. Asserts that none contains the key.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = format!("{error:?}");
    let mut next = Some(error);
    while let Some(error) = next {
        text.push_str(&format!("; {error}"));
        next = error.source();
    }
    assert!(!text.contains(KEY) && !text.contains("very-secret"), "{text}");
    text
}
