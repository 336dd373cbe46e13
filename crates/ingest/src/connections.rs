//! Tracks open connections, and closes the ones that have been idle longest when there are more than `MAX_CONNECTIONS`: so
//! clients that hold connections open without using them cannot keep deliveries out. A connection is active while a complete
//! request waits for its answer; one whose head or body is still arriving is idle.

use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, MutexGuard};

use actix_tls::accept::rustls_0_23::TlsStream;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// While all connections are active, one more in this many is accepted; further clients wait in the backlog.
const ACTIVE_EXTRA: usize = 8;
/// Descriptors for everything but connections: ports, Redis, logs, certificates.
const OTHER_DESCRIPTORS: usize = 64;

/// All connections of the server. With TLS a connection counts from the end of its handshake.
pub(crate) struct ConnectionTracker {
    max: usize,
    connections: Mutex<Connections>,
}

#[derive(Default)]
struct Connections {
    /// A duplicate of each idle connection's descriptor, longest idle first.
    idle: BTreeMap<u64, TcpStream>,
    active: usize,
    last_key: u64,
}

/// Belongs to one connection, as actix' connection data; dropped when the connection ends.
pub(crate) struct ConnectionHandle {
    tracker: Arc<ConnectionTracker>,
    idle_key: Cell<u64>,
}

/// While this lives, the connection is active.
pub(crate) struct ActiveConnection<'h> {
    handle: &'h ConnectionHandle,
    socket: Option<TcpStream>,
}

impl ConnectionTracker {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, connections: Mutex::default() })
    }

    /// How many connections may be open while all are active.
    pub(crate) fn open_max(max: usize) -> usize {
        max + max.div_ceil(ACTIVE_EXTRA)
    }

    /// Tracks a new connection of actix'. `None` when its descriptor cannot be duplicated: it is then bounded by its
    /// time-outs alone.
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
        self.connections.lock().expect("nothing panics while it holds the lock")
    }
}

impl Connections {
    fn add_idle(&mut self, socket: TcpStream) -> u64 {
        self.last_key += 1;
        self.idle.insert(self.last_key, socket);
        self.last_key
    }

    /// Closes idle connections until there are no more than `max`. Only their reading side: actix then ends the connection as
    /// if the client had, and an answer that is on its way is still sent.
    fn evict(&mut self, max: usize) {
        while self.idle.len() + self.active > max {
            let Some((_, socket)) = self.idle.pop_first() else { return };
            // An error means that the client has gone already.
            socket.shutdown(Shutdown::Read).ok();
        }
    }
}

impl ConnectionHandle {
    /// The connection's request has arrived. `None` when the connection was evicted at the same moment.
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
            // More were accepted while all were active.
            connections.evict(tracker.max);
        }
    }
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        self.tracker.lock().idle.remove(&self.idle_key.get());
    }
}

/// Raises the soft limit to the hard limit: shells and systemd set a low soft limit for programs that use `select`. Warns
/// when even that is too low for `MAX_CONNECTIONS`.
pub(crate) fn raise_nofile_limit(max_connections: u32) {
    let limit = getrlimit(Resource::Nofile);
    // If this fails the old limit holds, and is checked below.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).ok();
    let open_max = ConnectionTracker::open_max(max_connections as usize);
    // A connection has its own, and the tracker's to close it with.
    let needed = (2 * open_max + OTHER_DESCRIPTORS) as u64;
    match getrlimit(Resource::Nofile).current {
        Some(allowed) if allowed < needed => tracing::warn!(
            descriptors.allowed = allowed,
            descriptors.needed = needed,
            "too few file descriptors for MAX_CONNECTIONS: raise the limit (ulimit -Hn, LimitNOFILE=), or lower MAX_CONNECTIONS"
        ),
        _ => {}
    }
}
