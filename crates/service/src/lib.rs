//! The parts that every long-running Landfall program shares: [`settings`], [`telemetry`], [`metrics`], the [`admin`]
//! port, the [`runtime`], [`shutdown`], [`detached`] work, the limit on open files, and [`excerpt()`] for untrusted text in logs. The
//! list is closed: code with a single user belongs to that user. The crate depends on no sibling.

pub mod admin;
pub mod detached;
mod excerpt;
mod log_output;
pub mod metrics;
mod open_files;
pub mod runtime;
pub mod settings;
pub mod shutdown;
pub mod telemetry;

pub use excerpt::excerpt;
pub use open_files::raise_nofile_limit;

/// Installs ring as the TLS provider of the process. Must be called first in every `main`: without a provider, the
/// first `rediss://` or `https://` connection panics.
pub fn install_crypto_provider() {
    // An error only means that a provider is already installed, which is fine.
    rustls::crypto::ring::default_provider().install_default().ok();
}

/// Makes files and directories that this process creates from now on accessible to its user only: results are as secret
/// as their prompts. Existing ones keep their mode.
pub fn keep_files_private() {
    let others = rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO;
    let before = rustix::process::umask(others);
    rustix::process::umask(before | others);
}
