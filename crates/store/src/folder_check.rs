//! Checks that the folders of the database and of the raw files can be written, with a test file that is removed
//! afterwards.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// The allocation unit of file systems: a smaller file may be stored without its own block.
const PROBE_BYTES: usize = 64 << 10;

/// A writable folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderCheck {
    /// `false`: a worker creates the folder at startup; the nearest existing ancestor was checked instead.
    pub exists: bool,
    /// Space available to this user.
    pub free_bytes: u64,
}

/// Checks `path`; `setting` is the setting that names it.
pub(crate) async fn check(setting: &'static str, path: &Path) -> Result<FolderCheck, StoreError> {
    let folder = path.to_owned();
    let checked = tokio::task::spawn_blocking(move || check_blocking(&folder, setting)).await;
    let unusable = |source| StoreError::Folder { setting, path: path.to_owned(), source };
    checked.map_err(io::Error::from).flatten().map_err(unusable)
}

fn check_blocking(root: &Path, setting: &str) -> io::Result<FolderCheck> {
    let root = std::path::absolute(Path::new(".").join(root))?;
    let nearest = nearest_existing(&root)?;
    let probed = probe(&nearest.join(probe_name(setting)));
    let space = rustix::fs::statvfs(&nearest)?;
    probed?;
    Ok(FolderCheck { exists: nearest == root, free_bytes: space.f_bavail.saturating_mul(space.f_frsize) })
}

fn nearest_existing(root: &Path) -> io::Result<PathBuf> {
    for folder in root.ancestors() {
        match fs::metadata(folder) {
            Ok(found) if found.is_dir() => return Ok(folder.to_owned()),
            Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Unique, because two checks may run in one folder.
fn probe_name(setting: &str) -> String {
    format!(".landfall-check-{}-{setting}", std::process::id())
}

/// Writes and syncs a file, and always removes it.
fn probe(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    let written = file.write_all(&[b'x'; PROBE_BYTES]).and_then(|()| file.sync_all());
    fs::remove_file(path)?;
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_or_creatable_folder_passes_and_stays_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let there = check_blocking(folder.path(), "X").unwrap();
        assert!(there.exists && there.free_bytes > 0, "{there:?}");
        assert!(!check_blocking(&folder.path().join("a/b"), "X").unwrap().exists);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_at_the_folders_path_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        for path in [file.clone(), file.join("files")] {
            let error = check_blocking(&path, "X").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotADirectory, "{error}");
        }
    }
}
