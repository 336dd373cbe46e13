//! What can go wrong, and whether trying again can help.

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// A failure of the worker's, or the reader's, side of the queue: Redis cannot be reached, or refuses. Only what is more
/// than that is said at the methods that return it.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    #[error("the Redis URL cannot be used")]
    InvalidUrl(#[source] RedisError),
    #[error("could not {operation}")]
    Redis {
        operation: &'static str,
        #[source]
        source: RedisError,
    },
}

impl QueueError {
    /// Whether the same call may work later, without anybody changing a setting.
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

    /// The group is gone: somebody emptied Redis, or deleted it.
    pub(crate) fn is_group_missing(&self) -> bool {
        // UNBLOCKED: what Redis before 7.2 tells a reader that waits at a stream which is deleted.
        matches!(self, Self::Redis { source, .. } if matches!(source.code(), Some("NOGROUP" | "UNBLOCKED")))
    }
}

fn is_retryable(error: &RedisError) -> bool {
    match error.kind() {
        // Parse: an answer that was cut.
        ErrorKind::Io | ErrorKind::Parse | ErrorKind::ClusterConnectionNotFound => true,
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::NoScript,
        ) => true,
        // BUSY: another client's script runs.
        _ => {
            matches!(error.code(), Some("OOM" | "MISCONF" | "NOREPLICAS" | "BUSY" | "NOGROUP" | "UNBLOCKED"))
        }
    }
}

/// Why an event was not taken in. Nothing is stored then, or it is stored and OpenAI's next delivery of it is a
/// duplicate: either way OpenAI shall send it again.
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
    #[error("too many events wait for Redis already")]
    Overloaded,
    #[error("Redis cannot be reached")]
    Unavailable(#[source] RedisError),
    /// Cannot write its disk, lacks replicas, or does not let us.
    #[error("Redis refuses to write")]
    Refused(#[source] RedisError),
}

impl EnqueueError {
    /// All that [`EnqueueError::label`] can be.
    pub const LABELS: [&'static str; 8] =
        ["full", "out_of_memory", "read_only", "loading", "timeout", "overloaded", "unavailable", "refused"];

    /// Whether every other event would be refused too. A full stream is that of one family, and an overload passes.
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

    /// The name of the case, for metrics and logs.
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
            (RedisError::from((ErrorKind::Parse, "an answer that was cut")).into(), "unavailable"),
            (EnqueueError::Overloaded, "overloaded"),
        ];
        for (error, label) in cases {
            let error: EnqueueError = error;
            assert_eq!(error.label(), label);
            assert!(EnqueueError::LABELS.contains(&label));
        }
    }

    #[test]
    fn what_a_person_must_change_is_not_retryable() {
        let redis = |source| QueueError::Redis { operation: "test", source };
        assert!(redis(server_error("MISCONF")).is_retryable());
        assert!(redis(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))).is_retryable());
        assert!(!redis(server_error("WRONGTYPE")).is_retryable());
        assert!(!redis(RedisError::from((ErrorKind::Server(ServerErrorKind::NoPerm), ""))).is_retryable());
    }
}
