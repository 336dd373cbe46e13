//! The port where clients knock.

use std::io;
use std::net::{SocketAddr, TcpListener};

use tokio::net::TcpSocket;

/// Clients that may wait to be let in, listen(2)'s backlog; the system allows fewer (`net.core.somaxconn`, 4,096 by default).
/// Where there is no place the system drops a client's SYN, which comes again a second later (RFC 6298). The standard library
/// asks for 128 places, fewer than a burst of deliveries needs.
const WAITING_MAX: u32 = 65_535;

/// Listens on the address. Only within a Tokio runtime.
///
/// # Errors
/// When the address is taken or not ours.
pub(crate) fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As the standard library does: what is left of connections to the program before keeps nobody from listening.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(WAITING_MAX)?.into_std()
}
