//! How many files and sockets the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::crowd::Crowd;

/// What is open besides connections: ports, Redis, logs, certificates.
const OTHERS: u64 = 64;

/// Takes all that the system allows: what a shell or systemd gives by default is for programs that use `select`. Says so
/// when it is not enough for `MAX_CONNECTIONS`.
pub(crate) fn raise_limit(max_connections: u32) {
    let limit = getrlimit(Resource::Nofile);
    // Without success the old limit holds, and is judged below.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).ok();
    let needed = Crowd::at_work_max(max_connections as usize) as u64 + OTHERS;
    match getrlimit(Resource::Nofile).current {
        Some(allowed) if allowed < needed => tracing::warn!(
            descriptors.allowed = allowed,
            descriptors.needed = needed,
            "too few file descriptors for MAX_CONNECTIONS: raise the limit (ulimit -Hn, LimitNOFILE=), or lower MAX_CONNECTIONS"
        ),
        _ => {}
    }
}
