//! Opens the queue, and maps its errors to CLI errors.

use operations::requeue::RequeueError;
use queue::{Cause, EnqueueError, QueueAdmin, QueueConfig, QueueError};
use service::settings::{RedisSettings, refuse};

use crate::exit::CliError;

/// The configuration. Exits with a usage error when the password cannot be read.
pub(crate) fn config(settings: &RedisSettings) -> QueueConfig {
    let url = settings.url().unwrap_or_else(|error| refuse(&error));
    QueueConfig { url, key_prefix: settings.redis_key_prefix.clone() }
}

/// A reader of the queue, which connects on first use.
pub(crate) fn reader(settings: &RedisSettings) -> Result<QueueAdmin, CliError> {
    Ok(QueueAdmin::new(&config(settings))?)
}

impl From<QueueError> for CliError {
    /// An invalid URL is a usage error; any other error means that Redis is unreachable.
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::InvalidUrl(_) => {
                Self::Usage("REDIS_URL is invalid: write redis://HOST:PORT".to_owned())
            }
            QueueError::Redis { .. } => {
                let hint = Cause::of(&error).hint().to_owned();
                Self::unreachable_hint("cannot read the queue at REDIS_URL", error, Some(hint))
            }
        }
    }
}

impl From<EnqueueError> for CliError {
    fn from(error: EnqueueError) -> Self {
        let hint = Cause::of_enqueue(&error).hint().to_owned();
        Self::unreachable_hint("cannot write to the queue at REDIS_URL", error, Some(hint))
    }
}

impl From<RequeueError> for CliError {
    fn from(error: RequeueError) -> Self {
        match error {
            RequeueError::Queue(error) => error.into(),
            RequeueError::Enqueue(error) => error.into(),
            full @ RequeueError::Full(_) => Self::unreachable("cannot write to the queue at REDIS_URL", full),
        }
    }
}
