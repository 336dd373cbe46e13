//! The queue's configuration, and the names of consumers.

use std::time::Duration;

use secrecy::SecretString;
use webhook::Family;

/// The address of Redis, and the prefix of our keys.
#[derive(Debug, Clone)]
pub struct QueueConfig {
    /// `redis://…` or `rediss://…`; may hold a password.
    pub url: SecretString,
    /// The hash tag that prefixes every key: `{landfall}:…`.
    pub key_prefix: String,
}

/// One family's share of a worker.
#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    pub queue: QueueConfig,
    pub family: Family,
    /// Unique per process and start: see [`consumer_name`].
    pub name: String,
    /// A delivery without a heartbeat for this long is reclaimed by others.
    pub lease: Duration,
}

/// A unique name, `host-pid-random`. Two processes with the same name would each take the other's deliveries for their
/// own.
pub fn consumer_name() -> String {
    format!("{}-{}-{:08x}", host_name(), std::process::id(), fastrand::u32(..))
}

/// In a container, its id. Only characters that need no quoting anywhere.
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
