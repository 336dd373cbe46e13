//! Who may call the API: holders of a token, and on a loopback address everybody, for reading.

use std::net::SocketAddr;

use crate::hosts::AllowedHosts;

/// The rules of this process.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) hosts: AllowedHosts,
    /// Whether only this machine reaches the API.
    pub(crate) is_loopback: bool,
}

impl Access {
    pub(crate) fn new(hosts: AllowedHosts, listening: SocketAddr) -> Self {
        Self { hosts, is_loopback: listening.ip().is_loopback() }
    }
}
