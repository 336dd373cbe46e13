//! Errors of the queue, and whether a retry can help.

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// A failed command on the consumer or admin side: Redis is unreachable or refuses the command. Methods document only
/// the errors that go beyond this.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueueError {
    #[error("the Redis URL is not valid, write redis://HOST:PORT or redis://HOST:PORT/DATABASE")]
    InvalidUrl(#[source] RedisError),
    #[error("could not {operation}")]
    Redis {
        operation: &'static str,
        #[source]
        source: RedisError,
    },
}

impl QueueError {
    /// Whether the same call may succeed later without a change of configuration.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::InvalidUrl(_) => false,
            Self::Redis { source, .. } => is_retryable(source),
        }
    }

    /// For `map_err`.
    pub(crate) fn while_doing(operation: &'static str) -> impl FnOnce(RedisError) -> Self {
        move |source| Self::Redis { operation, source }
    }

    /// The group is missing: Redis was emptied, or the group was deleted.
    pub(crate) fn is_group_missing(&self) -> bool {
        // UNBLOCKED: Redis before 7.2 sends it to a client that blocks on a stream when the stream is deleted.
        matches!(self, Self::Redis { source, .. } if matches!(source.code(), Some("NOGROUP" | "UNBLOCKED")))
    }
}

fn is_retryable(error: &RedisError) -> bool {
    match error.kind() {
        // Parse: the reply was truncated.
        ErrorKind::Io | ErrorKind::Parse | ErrorKind::ClusterConnectionNotFound => true,
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::NoScript,
        ) => true,
        // BUSY: another client's script is running.
        _ => {
            matches!(error.code(), Some("OOM" | "MISCONF" | "NOREPLICAS" | "BUSY" | "NOGROUP" | "UNBLOCKED"))
        }
    }
}

/// Why an event was not enqueued. Either nothing was stored, or the event was stored and OpenAI's next delivery of it
/// is a duplicate. In both cases OpenAI should retry.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    #[error("the family's stream is at its limit")]
    Full,
    #[error("Redis is out of memory")]
    OutOfMemory(#[source] RedisError),
    #[error("Redis is a read-only replica")]
    ReadOnly(#[source] RedisError),
    #[error("Redis is loading its data")]
    Loading(#[source] RedisError),
    #[error("Redis did not answer in time")]
    Timeout(#[source] RedisError),
    #[error("too many events are already waiting for Redis")]
    Overloaded,
    #[error("Redis cannot be reached")]
    Unavailable(#[source] RedisError),
    /// Redis cannot write to its disk, has too few replicas, or denies access.
    #[error("Redis refused the write")]
    Refused(#[source] RedisError),
}

impl EnqueueError {
    /// All values of [`EnqueueError::label`].
    pub const LABELS: [&'static str; 8] =
        ["full", "out_of_memory", "read_only", "loading", "timeout", "overloaded", "unavailable", "refused"];

    /// Whether every other event would be refused as well. A full stream affects one family, and an overload is
    /// temporary.
    pub fn concerns_all_events(&self) -> bool {
        match self {
            Self::Full | Self::Overloaded => false,
            Self::OutOfMemory(_)
            | Self::ReadOnly(_)
            | Self::Loading(_)
            | Self::Timeout(_)
            | Self::Unavailable(_)
            | Self::Refused(_) => true,
        }
    }

    /// The error's label in metrics and logs.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::OutOfMemory(_) => "out_of_memory",
            Self::ReadOnly(_) => "read_only",
            Self::Loading(_) => "loading",
            Self::Timeout(_) => "timeout",
            Self::Overloaded => "overloaded",
            Self::Unavailable(_) => "unavailable",
            Self::Refused(_) => "refused",
        }
    }
}

impl From<RedisError> for EnqueueError {
    fn from(source: RedisError) -> Self {
        match source.kind() {
            _ if source.is_timeout() => Self::Timeout(source),
            ErrorKind::Io | ErrorKind::Parse | ErrorKind::ClusterConnectionNotFound => {
                Self::Unavailable(source)
            }
            ErrorKind::Server(ServerErrorKind::ReadOnly) => Self::ReadOnly(source),
            ErrorKind::Server(ServerErrorKind::BusyLoading) => Self::Loading(source),
            ErrorKind::Server(
                ServerErrorKind::MasterDown | ServerErrorKind::ClusterDown | ServerErrorKind::TryAgain,
            ) => Self::Unavailable(source),
            _ => match source.code() {
                Some("QUEUEFULL") => Self::Full,
                Some("OOM") => Self::OutOfMemory(source),
                Some(_) | None => Self::Refused(source),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_error(code: &str) -> RedisError {
        redis::make_extension_error(code.to_owned(), None)
    }

    #[test]
    fn every_refusal_has_its_label() {
        let io = |kind| EnqueueError::from(RedisError::from(std::io::Error::from(kind)));
        let cases = [
            (server_error("QUEUEFULL").into(), "full"),
            (server_error("OOM").into(), "out_of_memory"),
            (server_error("MISCONF").into(), "refused"),
            (server_error("NOREPLICAS").into(), "refused"),
            (RedisError::from((ErrorKind::Server(ServerErrorKind::ReadOnly), "")).into(), "read_only"),
            (RedisError::from((ErrorKind::Server(ServerErrorKind::BusyLoading), "")).into(), "loading"),
            (RedisError::from((ErrorKind::Server(ServerErrorKind::MasterDown), "")).into(), "unavailable"),
            (io(std::io::ErrorKind::TimedOut), "timeout"),
            (io(std::io::ErrorKind::ConnectionRefused), "unavailable"),
            (io(std::io::ErrorKind::BrokenPipe), "unavailable"),
            (RedisError::from((ErrorKind::Parse, "a truncated reply")).into(), "unavailable"),
            (EnqueueError::Overloaded, "overloaded"),
        ];
        for (error, label) in cases {
            let error: EnqueueError = error;
            assert_eq!(error.label(), label);
            assert!(EnqueueError::LABELS.contains(&label));
        }
    }

    #[test]
    fn errors_that_need_an_operator_are_not_retryable() {
        let redis = |source| QueueError::Redis { operation: "test", source };
        assert!(redis(server_error("MISCONF")).is_retryable());
        assert!(redis(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))).is_retryable());
        assert!(!redis(server_error("WRONGTYPE")).is_retryable());
        assert!(!redis(RedisError::from((ErrorKind::Server(ServerErrorKind::NoPerm), ""))).is_retryable());
    }
}
