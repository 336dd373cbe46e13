//! The limit on open files, which also limits connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit on open files to the hard limit: shells and systemd set a low soft limit for programs that use
/// `select`. Returns the limit if it is still lower than `needed`.
pub fn raise_nofile_limit(needed: u64) -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    // On failure the old limit remains, and is compared below.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).ok();
    getrlimit(Resource::Nofile).current.filter(|allowed| *allowed < needed)
}
