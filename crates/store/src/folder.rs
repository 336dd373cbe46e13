//! Creates folders that survive a power failure: a new folder is durable only once its parent is synced.

use std::io;
use std::path::{Path, PathBuf};

/// Creates a folder and all its parents, and syncs every folder it changes.
pub(crate) async fn create(path: &Path) -> io::Result<()> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || create_blocking(&path)).await?
}

fn create_blocking(path: &Path) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let missing: Vec<PathBuf> =
        path.ancestors().take_while(|folder| !folder.exists()).map(Path::to_owned).collect();
    std::fs::create_dir_all(&path)?;
    for parent in missing.iter().filter_map(|folder| folder.parent()) {
        std::fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}
