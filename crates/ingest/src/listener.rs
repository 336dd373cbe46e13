//! The port where clients knock.

use std::io;
use std::net::{SocketAddr, TcpListener};

use tokio::net::TcpSocket;

/// Listens on the address. As many clients may wait to be let in as may be connected, unless the system allows fewer
/// (`net.core.somaxconn`, 4,096 by default): whoever finds no place knocks again a second later (RFC 6298), and the standard
/// library has 128 places, less than a burst of deliveries needs. Only within a Tokio runtime.
///
/// # Errors
/// When the address is taken or not ours.
pub(crate) fn listen(addr: SocketAddr, max_connections: u32) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As the standard library does: what is left of connections to the program before keeps nobody from listening.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(max_connections)?.into_std()
}
