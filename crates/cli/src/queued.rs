//! Opens the queue, and says in one place what kept it from being read or written.

use queue::{Cause, EnqueueError, QueueAdmin, QueueConfig, QueueError};
use service::settings::{RedisSettings, refuse};

use crate::exit::Failure;

/// A password that cannot be read is wrong use, and ends the program with what to write.
pub(crate) fn config(settings: &RedisSettings) -> QueueConfig {
    let url = settings.url().unwrap_or_else(|error| refuse(&error));
    QueueConfig { url, key_prefix: settings.redis_key_prefix.clone() }
}

/// The queue for looking at it; connects when it is first used.
pub(crate) fn reader(settings: &RedisSettings) -> Result<QueueAdmin, Failure> {
    Ok(QueueAdmin::new(&config(settings))?)
}

impl From<QueueError> for Failure {
    /// An address that is none is wrong use; all else is a Redis out of reach.
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::InvalidUrl(_) => {
                Self::WrongUse("REDIS_URL cannot be used: write redis://HOST:PORT".to_owned())
            }
            QueueError::Redis { .. } => {
                let hint = Cause::of(&error).hint();
                Self::unreachable("cannot read the queue at REDIS_URL", error).with_hint(hint)
            }
        }
    }
}

impl From<EnqueueError> for Failure {
    fn from(error: EnqueueError) -> Self {
        let hint = Cause::of_enqueue(&error).hint();
        Self::unreachable("cannot write to the queue at REDIS_URL", error).with_hint(hint)
    }
}
