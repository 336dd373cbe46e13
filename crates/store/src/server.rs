//! Facts about a database server for the operator.

/// A PostgreSQL server, as seen by our own connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseServer {
    /// For example `15.18 (Debian 15.18-0+deb12u1)`.
    pub version: String,
    /// Whether our connection uses TLS.
    pub encrypted: bool,
    /// Whether the connection stays on this machine.
    pub local: bool,
    /// Whether commits survive a machine crash: `fsync` and `full_page_writes` are on.
    pub durable: bool,
    /// Whether it is a primary, and our role may write our tables.
    pub writable: bool,
    /// The number of free connection slots.
    pub connections_free: i64,
}
