//! Connections that are opened and send nothing.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Opens connections. They close when the result is dropped.
///
/// # Errors
/// If the server or the OS accepts no more connections.
pub(crate) fn open(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let open = |_| {
        TcpStream::connect(address)
            .context("cannot open an idle connection; raise the limit on open files (ulimit -n)")
    };
    (0..count).map(open).collect()
}

/// Counts the connections that the server has not closed. The server sends no data, so a readable socket is closed.
///
/// # Errors
/// If a socket cannot be inspected.
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
