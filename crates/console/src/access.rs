//! Who may call the API: holders of a token, and on a loopback address everybody, for reading.

use std::net::SocketAddr;

use store::{ApiToken, TokenRole};

use crate::hosts::AllowedHosts;
use crate::problem::ApiError;

/// The rules of this process.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) hosts: AllowedHosts,
    /// Whether only this machine reaches the API.
    pub(crate) is_loopback: bool,
    /// The setting `CONSOLE_READ_ONLY`.
    pub(crate) is_read_only: bool,
}

impl Access {
    pub(crate) fn new(hosts: AllowedHosts, listening: SocketAddr, is_read_only: bool) -> Self {
        Self { hosts, is_loopback: listening.ip().is_loopback(), is_read_only }
    }

    /// Whether the caller may change something.
    pub(crate) fn allow_act(&self, caller: &Caller) -> Result<(), ApiError> {
        match caller {
            _ if self.is_read_only => Err(ApiError::ReadOnly),
            Caller::Anybody => Err(ApiError::NoOperatorToken),
            Caller::Token(_) if caller.is_operator() => Ok(()),
            Caller::Token(_) => Err(ApiError::ViewerToken),
        }
    }
}

/// Who calls.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// A caller on this machine without a token.
    Anybody,
    Token(ApiToken),
}

impl Caller {
    pub(crate) fn is_operator(&self) -> bool {
        match self {
            Self::Anybody => false,
            Self::Token(token) => token.role == TokenRole::Operator,
        }
    }

    /// For the log.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Anybody => "anybody",
            Self::Token(token) => &token.name,
        }
    }
}
