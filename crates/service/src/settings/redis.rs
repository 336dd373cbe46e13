//! Settings for Redis.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::secret::{Given, SettingError};
use super::values::{is_socket, key_prefix, redis_url, userinfo, yes_or_no};

/// Used by every program.
#[derive(Debug, Clone, clap::Args)]
pub struct RedisSettings {
    /// Redis (7.0 or newer) or Valkey (8.0 or newer), such as redis://host:6379/0, or rediss://user:password@host:6380 with TLS
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    #[arg(default_value = "redis://127.0.0.1:6379", value_parser = redis_url)]
    pub redis_url: SecretString,
    /// Password for Redis, if REDIS_URL contains none
    #[arg(long, env = "REDIS_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    pub redis_password: Option<SecretString>,
    /// File with the password, instead of REDIS_PASSWORD
    #[arg(long, env = "REDIS_PASSWORD_FILE", value_name = "PATH")]
    pub redis_password_file: Option<PathBuf>,
    /// Prefix of all Redis keys, written in braces; allows several installations to share a server
    #[arg(long, env = "REDIS_KEY_PREFIX", value_name = "PREFIX", default_value = "landfall", value_parser = key_prefix)]
    pub redis_key_prefix: String,
    /// Accept a Redis that may lose acknowledged events on a restart (no append-only file): true or false
    #[arg(long, env = "ALLOW_VOLATILE_REDIS", value_name = "BOOL", value_parser = yes_or_no)]
    #[arg(default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub allow_volatile_redis: bool,
}

/// Why a Redis password is rejected.
#[derive(Debug, thiserror::Error)]
enum PasswordError {
    #[error("REDIS_URL also contains a password: remove one of them")]
    Twice,
    #[error("REDIS_URL cannot contain a password: write it as redis://HOST:PORT")]
    NoUse,
}

impl RedisSettings {
    /// `REDIS_URL`, including a password that was set separately.
    ///
    /// # Errors
    /// [`SettingError`] if the password is set twice, or its file is unreadable or empty.
    pub fn url(&self) -> Result<SecretString, SettingError> {
        const NAME: &str = "REDIS_PASSWORD";
        let given = Given {
            name: NAME,
            expected: "the password of Redis",
            value: self.redis_password.as_ref(),
            file: self.redis_password_file.as_deref(),
        };
        let Some(password) = given.load_if_set()? else { return Ok(self.redis_url.clone()) };
        let text = self.redis_url.expose_secret();
        let wrong = |error: PasswordError| SettingError::wrong(NAME, error);
        let mut url = Url::parse(text).map_err(|_| wrong(PasswordError::NoUse))?;
        let has_one = url.password().is_some() || url.query_pairs().any(|(key, _)| key == "pass");
        if has_one {
            return Err(wrong(PasswordError::Twice));
        }
        if is_socket(text) {
            url.query_pairs_mut().append_pair("pass", password.expose_secret());
        } else {
            let password = userinfo(password.expose_secret());
            url.set_password(Some(&password)).map_err(|()| wrong(PasswordError::NoUse))?;
        }
        Ok(SecretString::from(String::from(url)))
    }
}
