//! Connections that are opened and never used.

use std::net::{SocketAddr, TcpStream};

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Opens them; they last until it is dropped.
///
/// # Errors
/// When the server or the system takes no more.
pub(crate) fn gather(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let open = |_| TcpStream::connect(address).context("an idle connection: see ulimit -n");
    (0..count).map(open).collect()
}
