//! The path of `landfall.toml`, and the secrets that it refers to. Other crates parse the file.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use super::secret::read_file;
use super::values::trimmed;

/// Used by the worker, the console and the command line.
#[derive(Debug, Clone, clap::Args)]
pub struct ConfigFileSettings {
    /// Path of landfall.toml, which configures the notification targets; if not set, no notifications are sent
    #[arg(long, env = "LANDFALL_CONFIG", value_name = "PATH")]
    pub landfall_config: Option<PathBuf>,
}

/// Why a secret that the file refers to is unavailable. Never contains the secret.
#[derive(Debug, thiserror::Error)]
pub enum NamedSecretError {
    #[error("the variable {0} is not set, empty, or not valid UTF-8")]
    NotSet(String),
    #[error("cannot read the file {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the file {} is empty", .0.display())]
    Empty(PathBuf),
}

/// Reads a secret from an environment variable.
pub fn secret_in_variable(name: &str) -> Result<SecretString, NamedSecretError> {
    let value = std::env::var_os(name).and_then(|value| value.into_string().ok());
    let value = value.as_deref().map(trimmed).filter(|value| !value.is_empty());
    value.map(SecretString::from).ok_or_else(|| NamedSecretError::NotSet(name.to_owned()))
}

/// Reads a secret from a file, without surrounding white space.
///
/// # Errors
/// [`NamedSecretError`] if the file is unreadable or empty.
pub fn secret_in_file(path: &Path) -> Result<SecretString, NamedSecretError> {
    let unreadable = |source| NamedSecretError::Unreadable { path: path.to_owned(), source };
    let secret = read_file(path).map_err(unreadable)?;
    if secret.expose_secret().is_empty() {
        return Err(NamedSecretError::Empty(path.to_owned()));
    }
    Ok(secret)
}
