//! How many files and sockets the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::connections::{ConnectionTracker, DESCRIPTORS_PER_CONNECTION};

/// Descriptors for everything but connections: ports, Redis, logs, certificates.
const OTHERS: usize = 64;

/// Raises the soft limit to the hard limit: shells and systemd set a low soft limit for programs that use `select`. Warns
/// when even that is too low for `MAX_CONNECTIONS`.
pub(crate) fn raise_nofile_limit(max_connections: u32) {
    let limit = getrlimit(Resource::Nofile);
    // If this fails the old limit holds, and is checked below.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).ok();
    let open_max = ConnectionTracker::open_max(max_connections as usize);
    let needed = (DESCRIPTORS_PER_CONNECTION * open_max + OTHERS) as u64;
    match getrlimit(Resource::Nofile).current {
        Some(allowed) if allowed < needed => tracing::warn!(
            descriptors.allowed = allowed,
            descriptors.needed = needed,
            "too few file descriptors for MAX_CONNECTIONS: raise the limit (ulimit -Hn, LimitNOFILE=), or lower MAX_CONNECTIONS"
        ),
        _ => {}
    }
}
