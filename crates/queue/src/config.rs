//! What the queue needs to be told, and the names workers go by.

use std::time::Duration;

use secrecy::SecretString;
use webhook::Family;

/// Where Redis is, and under which name our keys lie there.
#[derive(Debug, Clone)]
pub struct QueueConfig {
    /// `redis://…` or `rediss://…`; may hold a password.
    pub url: SecretString,
    /// The hash tag in front of every key: `{landfall}:…`.
    pub key_prefix: String,
}

/// One family's share of a worker.
#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    pub queue: QueueConfig,
    pub family: Family,
    /// Unique per process and start: see [`consumer_name`].
    pub name: String,
    /// How long a delivery is left alone without a heartbeat before others take it over.
    pub lease: Duration,
}

/// A name no other process has or had: `host-pid-random`. Two processes of one name would take each other's deliveries
/// for their own.
pub fn consumer_name() -> String {
    format!("{}-{}-{:08x}", host_name(), std::process::id(), fastrand::u32(..))
}

/// In a container its id. Only characters that need no quoting anywhere.
pub(crate) fn host_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String =
        host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).take(64).collect();
    if host.is_empty() { "worker".to_owned() } else { host }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumer_names_differ_and_name_the_process() {
        let name = consumer_name();
        assert_ne!(name, consumer_name());
        assert!(name.contains(&format!("-{}-", std::process::id())), "{name}");
    }
}
