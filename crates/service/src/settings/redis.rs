//! Where the queue is.

use secrecy::SecretString;

use super::values::{key_prefix, redis_url, yes_or_no};

/// Every program reads these.
#[derive(Debug, Clone, clap::Args)]
pub struct RedisSettings {
    /// Redis (7.0 or newer) or Valkey (8.0 or newer), such as redis://host:6379/0, or rediss://user:password@host:6380 with TLS
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    #[arg(default_value = "redis://127.0.0.1:6379", value_parser = redis_url)]
    pub redis_url: SecretString,
    /// What every Redis key begins with, in braces; lets several installations share a server
    #[arg(long, env = "REDIS_KEY_PREFIX", value_name = "PREFIX", default_value = "landfall", value_parser = key_prefix)]
    pub redis_key_prefix: String,
    /// Accept a Redis that may lose acknowledged events when it restarts (no append-only file): true or false
    #[arg(long, env = "ALLOW_VOLATILE_REDIS", value_name = "BOOL", value_parser = yes_or_no)]
    #[arg(default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub allow_volatile_redis: bool,
}
