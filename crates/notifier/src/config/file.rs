//! Reads `landfall.toml` from disk.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::{Config, ConfigError, ReadSecret};

/// A realistic file has a few kilobytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The text of the file, not yet parsed.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    text: String,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    #[error("LANDFALL_CONFIG: cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("LANDFALL_CONFIG: {} is larger than the maximum of {FILE_BYTES_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
    #[error("LANDFALL_CONFIG: {}", path.display())]
    Wrong { path: PathBuf, source: ConfigError },
}

impl ConfigFile {
    /// # Errors
    /// [`ConfigFileError::Unreadable`] and [`ConfigFileError::TooLarge`].
    pub fn read(path: &Path) -> Result<Self, ConfigFileError> {
        let unreadable = |source| ConfigFileError::Unreadable { path: path.to_owned(), source };
        let mut text = String::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(ConfigFileError::TooLarge(path.to_owned()));
        }
        Ok(Self { path: path.to_owned(), text })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// # Errors
    /// [`ConfigFileError::Wrong`] names the line and the fix.
    pub fn parse(&self, read_secret: ReadSecret<'_>) -> Result<Config, ConfigFileError> {
        let wrong = |source| ConfigFileError::Wrong { path: self.path.clone(), source };
        Config::parse(&self.text, read_secret).map_err(wrong)
    }
}
