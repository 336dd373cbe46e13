//! Who may do what: the rules of this process, and who calls.

use std::net::SocketAddr;

use store::ApiToken;

use crate::hosts::AllowedHosts;
use crate::login_limit::LoginLimit;
use crate::problem::ApiError;
use crate::proxy::TrustedProxy;
use crate::role::Role;

/// The rules of this process.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) hosts: AllowedHosts,
    pub(crate) proxy: TrustedProxy,
    pub(crate) login_limit: LoginLimit,
    /// Whether callers may read without any proof: only this machine reaches the console, and there is no login.
    pub(crate) is_open: bool,
    /// The setting `CONSOLE_READ_ONLY`.
    is_read_only: bool,
}

impl Access {
    pub(crate) fn new(
        hosts: AllowedHosts,
        proxy: TrustedProxy,
        listening: SocketAddr,
        has_passwords: bool,
        is_read_only: bool,
    ) -> Self {
        let is_open = listening.ip().is_loopback() && !has_passwords && !proxy.names_users();
        Self { hosts, proxy, login_limit: LoginLimit::default(), is_open, is_read_only }
    }

    /// Whether the caller may change something.
    pub(crate) fn allow_act(&self, caller: &Caller) -> Result<(), ApiError> {
        if self.is_read_only {
            return Err(ApiError::ReadOnly);
        }
        match (caller, caller.role()) {
            (_, Role::Operator) => Ok(()),
            (Caller::Anybody, Role::Viewer) => Err(ApiError::NoOperatorToken),
            (Caller::Token(_), Role::Viewer) => Err(ApiError::ViewerToken),
            (Caller::Person { .. }, Role::Viewer) => Err(ApiError::ViewerLogin),
        }
    }
}

/// Who calls.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// A caller on this machine without any proof.
    Anybody,
    /// A program with a token.
    Token(ApiToken),
    /// Someone who has logged in.
    Person { login: Login, role: Role },
}

/// How someone logged in.
#[derive(Debug, Clone)]
pub(crate) enum Login {
    /// With a password.
    Password,
    /// At the proxy, under this name.
    Proxy(String),
    /// At the proxy, and then with a password.
    Both(String),
}

impl Caller {
    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Anybody => Role::Viewer,
            Self::Token(token) => Role::of_token(&token.role),
            Self::Person { role, .. } => *role,
        }
    }

    pub(crate) fn is_operator(&self) -> bool {
        self.role() == Role::Operator
    }

    /// For the log.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Anybody => "anybody",
            Self::Token(token) => &token.name,
            Self::Person { login: Login::Password, role } => role.as_str(),
            Self::Person { login: Login::Proxy(user) | Login::Both(user), .. } => user,
        }
    }
}
