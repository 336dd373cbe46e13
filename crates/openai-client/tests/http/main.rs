//! The client against a real socket: what it sends, and what it makes of every way an answer can go wrong.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod access;
mod answers;
mod compressed;
mod downloads;
mod eval_search;
mod redirects;
mod resumes;
mod server;

use std::error::Error;
use std::time::Duration;

use openai_client::{BodyMemory, Client, ClientConfig};

/// In no error, ever.
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
        observer: None,
        body_memory: BodyMemory::default(),
    }
}

fn client(server: &server::Server) -> Client {
    Client::new(config(server.base_url())).unwrap()
}

/// A client that waits for bytes only so long.
fn impatient_client(server: &server::Server, idle_timeout: Duration) -> Client {
    Client::new(ClientConfig { idle_timeout, ..config(server.base_url()) }).unwrap()
}

/// For what would hang for ever if a time limit were missing.
async fn within_a_minute<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.unwrap()
}

/// An error and all its sources, as a log would show them in either way; and a check that none holds the key.
fn told(error: &(dyn Error + 'static)) -> String {
    let mut text = format!("{error:?}");
    let mut next = Some(error);
    while let Some(error) = next {
        text.push_str(&format!("; {error}"));
        next = error.source();
    }
    assert!(!text.contains(KEY) && !text.contains("very-secret"), "{text}");
    text
}
