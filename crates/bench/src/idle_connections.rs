//! Connections that are opened and never used.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Opens them; they last until it is dropped.
///
/// # Errors
/// When the server or the system takes no more.
pub(crate) fn open(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let open = |_| TcpStream::connect(address).context("an idle connection: see ulimit -n");
    (0..count).map(open).collect()
}

/// How many of them the server has not closed. It sends nothing: whatever can be read is the end.
///
/// # Errors
/// When the system does not say.
pub(crate) fn count_open(connections: &[TcpStream]) -> Result<usize> {
    let mut open = 0;
    for connection in connections {
        connection.set_nonblocking(true)?;
        if connection.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            open += 1;
        }
    }
    Ok(open)
}
