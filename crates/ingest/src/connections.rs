//! Tracks open connections. When there are more than `MAX_CONNECTIONS`, it closes the ones that have been idle longest,
//! so that clients that hold connections open without using them cannot block deliveries. A connection is active from
//! the arrival of a complete request until its response; while a head or body is still arriving it is idle.

use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, MutexGuard};

use actix_tls::accept::rustls_0_23::TlsStream;

/// While all connections are active, one more per this many is accepted; others wait in the accept backlog.
const ACTIVE_EXTRA: usize = 8;
/// File descriptors for everything except connections: ports, Redis, logs, certificates.
const OTHER_DESCRIPTORS: usize = 64;

/// All connections of the server. A TLS connection counts after its handshake.
pub(crate) struct ConnectionTracker {
    max: usize,
    connections: Mutex<Connections>,
}

#[derive(Default)]
struct Connections {
    /// Duplicated descriptors of the idle connections, longest idle first.
    idle: BTreeMap<u64, TcpStream>,
    active: usize,
    last_key: u64,
}

/// Stored in the connection data of actix, and dropped when the connection ends.
pub(crate) struct ConnectionHandle {
    tracker: Arc<ConnectionTracker>,
    idle_key: Cell<u64>,
}

/// Keeps the connection active until it is dropped.
pub(crate) struct ActiveConnection<'h> {
    handle: &'h ConnectionHandle,
    socket: Option<TcpStream>,
}

impl ConnectionTracker {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, connections: Mutex::default() })
    }

    /// The maximum number of open connections when all are active.
    pub(crate) fn open_max(max: usize) -> usize {
        max + max.div_ceil(ACTIVE_EXTRA)
    }

    /// Registers a new actix connection. `None` if its descriptor cannot be duplicated: then only the time-outs limit
    /// it.
    pub(crate) fn register(self: &Arc<Self>, connection: &dyn Any) -> Option<ConnectionHandle> {
        let plain = connection.downcast_ref::<tokio::net::TcpStream>();
        let tls = || Some(connection.downcast_ref::<TlsStream<tokio::net::TcpStream>>()?.get_ref().0);
        let socket = plain.or_else(tls)?.as_fd().try_clone_to_owned().ok()?.into();
        let mut connections = self.lock();
        let idle_key = Cell::new(connections.add_idle(socket));
        connections.evict(self.max);
        Some(ConnectionHandle { tracker: Arc::clone(self), idle_key })
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().expect("no code panics while holding the lock")
    }
}

impl Connections {
    fn add_idle(&mut self, socket: TcpStream) -> u64 {
        self.last_key += 1;
        self.idle.insert(self.last_key, socket);
        self.last_key
    }

    /// Closes idle connections until at most `max` are open. Only the read side is shut down: actix then treats the
    /// connection as closed by the client, and a response in progress is still sent.
    fn evict(&mut self, max: usize) {
        while self.idle.len() + self.active > max {
            let Some((_, socket)) = self.idle.pop_first() else { return };
            // An error means that the client has already disconnected.
            socket.shutdown(Shutdown::Read).ok();
        }
    }
}

impl ConnectionHandle {
    /// Marks the connection as active after its request has arrived. `None` if it was evicted at the same moment.
    pub(crate) fn activate(&self) -> Option<ActiveConnection<'_>> {
        let mut connections = self.tracker.lock();
        let socket = connections.idle.remove(&self.idle_key.get())?;
        connections.active += 1;
        Some(ActiveConnection { handle: self, socket: Some(socket) })
    }
}

impl Drop for ActiveConnection<'_> {
    fn drop(&mut self) {
        if let Some(socket) = self.socket.take() {
            let tracker = &self.handle.tracker;
            let mut connections = tracker.lock();
            connections.active -= 1;
            self.handle.idle_key.set(connections.add_idle(socket));
            // More may have been accepted while all were active.
            connections.evict(tracker.max);
        }
    }
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        self.tracker.lock().idle.remove(&self.idle_key.get());
    }
}

/// Warns if the hard limit on open files is too low for `MAX_CONNECTIONS`.
pub(crate) fn raise_nofile_limit(max_connections: u32) {
    let open_max = ConnectionTracker::open_max(max_connections as usize);
    // Two per connection: the socket and the duplicate of the tracker.
    let needed = (2 * open_max + OTHER_DESCRIPTORS) as u64;
    if let Some(allowed) = service::raise_nofile_limit(needed) {
        tracing::warn!(
            descriptors.allowed = allowed,
            descriptors.needed = needed,
            "the limit on open files is too low for MAX_CONNECTIONS: raise it (ulimit -Hn, LimitNOFILE=) or lower MAX_CONNECTIONS"
        );
    }
}
