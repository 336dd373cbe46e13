//! Settings of ingest: the shared groups, and those of ingest alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use queue::{Producer, QueueConfig};
use secrecy::ExposeSecret as _;
use service::detached;
use service::settings::{
    LogSettings, RedisSettings, SettingError, ValueError, WebhookSecretSettings, size_bytes,
};
use webhook::Verifier;

use crate::tls::{TlsError, TlsFiles};

/// OpenAI events have a few hundred bytes; Redis rejects values over 512 MiB.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// Receives OpenAI webhooks over HTTP, verifies them, and enqueues them in Redis
#[derive(Debug, clap::Parser)]
#[command(name = "ingest", version)]
pub struct Settings {
    /// Address to listen on for webhooks, as ADDRESS:PORT; port 0 picks a free port, logged as ingest.addr
    #[arg(long, env = "INGEST_ADDR", value_name = "ADDR", default_value = "0.0.0.0:8080")]
    pub ingest_addr: SocketAddr,
    /// Path that OpenAI posts to; paths below it are reserved for additional projects
    #[arg(long, env = "WEBHOOK_PATH", value_name = "PATH", default_value = "/openai/webhook", value_parser = webhook_path)]
    pub webhook_path: String,
    /// Maximum size of a body, in bytes; at most 64MiB
    #[arg(long, env = "MAX_BODY_BYTES", value_name = "BYTES", default_value = "1MiB", value_parser = body_bytes)]
    pub max_body_bytes: usize,
    /// Maximum number of open connections; above it the longest idle ones are closed. Each may use 128 KiB of memory
    #[arg(long, env = "MAX_CONNECTIONS", value_name = "COUNT", default_value = "2000")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,
    /// Maximum number of events in the queue of a family; above it webhooks get a 503, and OpenAI retries them
    #[arg(long, env = "MAX_STREAM_LENGTH", value_name = "COUNT", default_value = "1000000")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub max_stream_length: u64,
    /// How long a repeated webhook-id counts as a duplicate, in seconds; must be the same on all ingests. OpenAI
    /// retries an event for 259200
    #[arg(long, env = "DEDUPE_WINDOW_SECS", value_name = "SECS", default_value = "288000")]
    #[arg(value_parser = clap::value_parser!(u64).range(2..=31_536_000))]
    pub dedupe_window_secs: u64,
    /// TLS certificate, for TLS without a proxy: a PEM file with the server certificate first, then the chain
    #[arg(long, env = "INGEST_TLS_CERT", value_name = "PATH")]
    pub ingest_tls_cert: Option<PathBuf>,
    /// Private key of the certificate, a PEM file. Both files are reloaded when they change
    #[arg(long, env = "INGEST_TLS_KEY", value_name = "PATH")]
    pub ingest_tls_key: Option<PathBuf>,
    /// Private address for /healthz, /readyz and /metrics; port 0 picks a free port, logged as admin.addr
    #[arg(long, env = "ADMIN_ADDR", value_name = "ADDR", default_value = "127.0.0.1:9100")]
    pub admin_addr: SocketAddr,
    /// Check the health of the ingest running at ADMIN_ADDR, and exit with 0 or 1
    #[arg(long)]
    pub healthcheck: bool,
    #[command(flatten)]
    pub redis: RedisSettings,
    #[command(flatten)]
    pub secret: WebhookSecretSettings,
    #[command(flatten)]
    pub log: LogSettings,
}

impl Settings {
    pub(crate) async fn verifier(&self) -> Result<Verifier, SettingError> {
        let given = self.secret.clone();
        let secret = detached::run(move || given.secret()).await;
        let secret = secret.map_err(|error| SettingError::wrong(WebhookSecretSettings::NAME, error))??;
        Verifier::from_setting(secret.expose_secret())
            .map_err(|error| SettingError::wrong(WebhookSecretSettings::NAME, error))
    }

    /// The certificate files, if TLS is configured.
    pub(crate) fn tls(&self) -> Result<Option<TlsFiles>, TlsError> {
        match (&self.ingest_tls_cert, &self.ingest_tls_key) {
            (None, None) => Ok(None),
            (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert: cert.clone(), key: key.clone() })),
            (Some(_), None) | (None, Some(_)) => Err(TlsError::Half),
        }
    }

    pub(crate) async fn queue(&self) -> Result<QueueConfig, SettingError> {
        let given = self.redis.clone();
        let url = detached::run(move || given.url()).await;
        let url = url.map_err(|error| SettingError::wrong("REDIS_URL", error))??;
        Ok(QueueConfig { url, key_prefix: self.redis.redis_key_prefix.clone() })
    }

    pub(crate) fn producer(&self, queue: &QueueConfig) -> Result<Producer, SettingError> {
        let dedupe_window = Duration::from_secs(self.dedupe_window_secs);
        Producer::new(queue, self.max_stream_length, dedupe_window)
            .map_err(|error| SettingError::wrong("REDIS_URL", error))
    }
}

/// Why a value is invalid.
#[derive(Debug, thiserror::Error)]
enum InvalidValue {
    #[error(
        "write a path such as /openai/webhook: it starts but does not end with a slash, and contains only letters, digits and / . _ ~ -"
    )]
    WebhookPath,
    #[error("write at most 64MiB")]
    BodyBytes,
    #[error(transparent)]
    Value(#[from] ValueError),
}

fn webhook_path(text: &str) -> Result<String, InvalidValue> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '~' | '-');
    let well_formed = text.starts_with('/') && !text.ends_with('/') && !text.contains("//");
    if !well_formed || !text.chars().all(allowed) {
        return Err(InvalidValue::WebhookPath);
    }
    Ok(text.to_owned())
}

fn body_bytes(text: &str) -> Result<usize, InvalidValue> {
    let bytes = size_bytes(text)?;
    if bytes > BODY_BYTES_MAX {
        return Err(InvalidValue::BodyBytes);
    }
    Ok(usize::try_from(bytes).expect("64 MiB fit in usize"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_path_has_a_strict_format() {
        for path in ["/openai/webhook", "/x", "/hooks/v1.0/a-b_c~d"] {
            assert_eq!(webhook_path(path).unwrap(), path);
        }
        for path in
            ["", "/", "openai/webhook", "/openai/webhook/", "//x", "/a b", "/{project}", "/x?y=1", "/ä"]
        {
            assert!(webhook_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn the_body_limit_is_at_most_64_mib() {
        assert_eq!(body_bytes("1MiB").unwrap(), 1 << 20);
        assert!(body_bytes("64MiB").is_ok());
        assert!(body_bytes("65MiB").is_err());
        assert!(body_bytes("0").is_err());
    }
}
