//! Errors of a delivery attempt, and whether a retry is allowed.

use std::time::Duration;

use crate::address::ForbiddenAddress;
use crate::target_response::TargetResponse;

/// A failed attempt.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nothing was sent. Retryable, because DNS and the allow list can change.
    #[error(
        "the address of the target is not allowed: to permit it, add an exception to allow in landfall.toml"
    )]
    Forbidden(#[source] ForbiddenAddress),
    #[error("cannot connect to the target")]
    Unreachable(#[source] reqwest::Error),
    #[error("the target did not respond in time")]
    TimedOut(#[source] reqwest::Error),
    #[error("the target responded with status {}", response.status)]
    Refused { response: TargetResponse, retry_after: Option<Duration> },
    /// 410: the target no longer wants notifications.
    #[error("the target is gone (status 410)")]
    Gone { response: TargetResponse },
}

impl SendError {
    pub(crate) fn from_request(error: reqwest::Error) -> Self {
        // The URL may hold a secret.
        let error = error.without_url();
        if let Some(forbidden) = forbidden_in(&error) {
            return Self::Forbidden(forbidden);
        }
        if error.is_timeout() { Self::TimedOut(error) } else { Self::Unreachable(error) }
    }

    pub(crate) fn from_response(response: TargetResponse, retry_after: Option<Duration>) -> Self {
        if response.status == 410 { Self::Gone { response } } else { Self::Refused { response, retry_after } }
    }

    /// Whether the notification may be retried automatically.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Forbidden(_) | Self::Unreachable(_) | Self::TimedOut(_) | Self::Refused { .. } => true,
            Self::Gone { .. } => false,
        }
    }

    /// The delay that the target asked for.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Forbidden(_) | Self::Unreachable(_) | Self::TimedOut(_) | Self::Gone { .. } => None,
        }
    }

    /// The response, if there was one.
    pub fn response(&self) -> Option<&TargetResponse> {
        match self {
            Self::Refused { response, .. } | Self::Gone { response } => Some(response),
            Self::Forbidden(_) | Self::Unreachable(_) | Self::TimedOut(_) => None,
        }
    }
}

fn forbidden_in(error: &reqwest::Error) -> Option<ForbiddenAddress> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(forbidden) = error.downcast_ref() {
            return Some(*forbidden);
        }
        cause = error.source();
    }
    None
}
