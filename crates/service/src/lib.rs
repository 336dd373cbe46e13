//! The shell every long-running program of Landfall shares: [`settings`], [`telemetry`], [`metrics`], the [`admin`]
//! port, [`shutdown`], [`detached`] work, and the [`excerpt()`] of strangers' text for logs. A closed list: what has one owner
//! belongs to that owner, not here. It knows no sibling crate.

pub mod admin;
pub mod detached;
mod excerpt;
mod log_output;
pub mod metrics;
pub mod settings;
pub mod shutdown;
pub mod telemetry;

pub use excerpt::excerpt;

/// Chooses ring as the one TLS provider of the process. The first thing in every `main`: with none chosen, the first
/// `rediss://` or `https://` connection panics (`QUEUE.md` section 2).
pub fn install_crypto_provider() {
    // An error only says that a provider was installed before, which is what we want.
    rustls::crypto::ring::default_provider().install_default().ok();
}

/// Makes the files and folders that this process creates from now on readable by its user alone: results are as secret as
/// their prompts. Existing ones keep their mode.
pub fn keep_files_private() {
    let others = rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO;
    let before = rustix::process::umask(others);
    rustix::process::umask(before | others);
}
