//! Reads files given on the command line.

use std::io::Read as _;
use std::path::Path;

use crate::exit::CliError;

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|source| CliError::Unreadable { path: path.to_owned(), source })
}

/// Reads a file; `-` is stdin.
pub(crate) fn read_or_stdin(path: &Path) -> Result<Vec<u8>, CliError> {
    if path != Path::new("-") {
        return read(path);
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().read_to_end(&mut bytes);
    read.map_err(|source| CliError::Unreadable { path: path.to_owned(), source })?;
    Ok(bytes)
}
