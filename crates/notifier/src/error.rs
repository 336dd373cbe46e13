//! Why a notification was not delivered, and what that means for the next attempt.

use std::time::Duration;

use crate::address::ForbiddenAddress;
use crate::answer::Answer;

/// One attempt that failed.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nothing was sent. Names change their addresses, and operators their allow-list.
    #[error("the target's address is not allowed; an exception is made with allow in landfall.toml")]
    Forbidden(#[source] ForbiddenAddress),
    #[error("no connection to the target")]
    Unreachable(#[source] reqwest::Error),
    #[error("no answer from the target in time")]
    TimedOut(#[source] reqwest::Error),
    #[error("the target answered with status {}", answer.status)]
    Refused { answer: Answer, retry_after: Option<Duration> },
    /// 410: the target wants to hear nothing any more.
    #[error("the target is gone (status 410)")]
    Gone { answer: Answer },
}

impl SendError {
    pub(crate) fn of_request(error: reqwest::Error) -> Self {
        // The URL may hold a secret.
        let error = error.without_url();
        if let Some(forbidden) = forbidden_in(&error) {
            return Self::Forbidden(forbidden);
        }
        if error.is_timeout() { Self::TimedOut(error) } else { Self::Unreachable(error) }
    }

    pub(crate) fn of_answer(answer: Answer, retry_after: Option<Duration>) -> Self {
        if answer.status == 410 { Self::Gone { answer } } else { Self::Refused { answer, retry_after } }
    }

    /// Whether another attempt may be made without a person's word.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Forbidden(_) | Self::Unreachable(_) | Self::TimedOut(_) | Self::Refused { .. } => true,
            Self::Gone { .. } => false,
        }
    }

    /// The wait the target asked for.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Forbidden(_) | Self::Unreachable(_) | Self::TimedOut(_) | Self::Gone { .. } => None,
        }
    }

    /// What was answered, if anything was.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Refused { answer, .. } | Self::Gone { answer } => Some(answer),
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
