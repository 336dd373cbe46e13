//! Files that the command line names.

use std::io::Read as _;
use std::path::Path;

use crate::exit::Failure;

/// The bytes of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|source| Failure::Unreadable { path: path.to_owned(), source })
}

/// The same; `-` is stdin.
pub(crate) fn read_or_stdin(path: &Path) -> Result<Vec<u8>, Failure> {
    if path != Path::new("-") {
        return read(path);
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().read_to_end(&mut bytes);
    read.map_err(|source| Failure::Unreadable { path: path.to_owned(), source })?;
    Ok(bytes)
}
