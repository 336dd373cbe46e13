//! What an operator should know of a database server.

/// A PostgreSQL server, as seen through our own connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseServer {
    /// Such as `15.18 (Debian 15.18-0+deb12u1)`.
    pub version: String,
    /// Whether our connection goes through TLS.
    pub encrypted: bool,
    /// Whether it never leaves this machine.
    pub local: bool,
    /// Whether what was committed survives a crash of the machine: `fsync` and `full_page_writes`.
    pub durable: bool,
    /// Whether it is no replica, and our role may write our tables.
    pub writable: bool,
    /// How many more clients it takes.
    pub connections_free: i64,
}
