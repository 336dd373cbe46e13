//! `landfall.toml`: where it is, and the secrets it names. What it says is its owners' business.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use super::secret::read_file;
use super::values::trimmed;

/// The worker and the command line read these.
#[derive(Debug, Clone, clap::Args)]
pub struct ConfigFileSettings {
    /// The file with what no variable can say, landfall.toml: which systems are told of results. Not set: none
    #[arg(long, env = "LANDFALL_CONFIG", value_name = "PATH")]
    pub landfall_config: Option<PathBuf>,
}

/// A secret that the file names, but that is not there. Never repeats one.
#[derive(Debug, thiserror::Error)]
pub enum NamedSecretError {
    #[error("the variable {0} is not set or empty, or no text")]
    NotSet(String),
    #[error("the file {} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the file {} is empty", .0.display())]
    Empty(PathBuf),
}

/// The secret in an environment variable.
pub fn secret_in_variable(name: &str) -> Result<SecretString, NamedSecretError> {
    let value = std::env::var_os(name).and_then(|value| value.into_string().ok());
    let value = value.as_deref().map(trimmed).filter(|value| !value.is_empty());
    value.map(SecretString::from).ok_or_else(|| NamedSecretError::NotSet(name.to_owned()))
}

/// The secret in a file, without what editors put around it.
///
/// # Errors
/// [`NamedSecretError`] when the file cannot be read or is empty.
pub fn secret_in_file(path: &Path) -> Result<SecretString, NamedSecretError> {
    let unreadable = |source| NamedSecretError::Unreadable { path: path.to_owned(), source };
    let secret = read_file(path).map_err(unreadable)?;
    if secret.expose_secret().is_empty() {
        return Err(NamedSecretError::Empty(path.to_owned()));
    }
    Ok(secret)
}
