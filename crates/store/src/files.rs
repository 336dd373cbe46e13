//! Raw files, byte for byte, under `<project>/<object id>/<file id>`. A file has its name only once it is whole and
//! synced together with its folder; until then it has a temporary name.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::{BoxStream, StreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt as _, PutPayloadMut};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::error::StoreError;
use crate::folder;

/// A part is written when it is so large: the memory a download takes. Object stores ask for at least 5 MiB.
const PART_BYTES: usize = 8 << 20;
/// File systems allow 255 bytes a name; the temporary one is a little longer.
const NAME_BYTES_MAX: usize = 200;

/// A row of `files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileRecord {
    pub project: String,
    pub file_id: String,
    /// The batch or job it belongs to.
    pub object_id: String,
    pub purpose: Option<String>,
    pub filename: Option<String>,
    pub bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
    /// Relative to `FILES_URL`.
    pub location: String,
    pub created_at: Option<DateTime<Utc>>,
    /// When OpenAI deletes its copy; ours stays.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The folder `FILES_URL`.
#[derive(Debug, Clone)]
pub struct Files {
    root: PathBuf,
}

/// A file that is whole and on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredFile {
    /// Relative to `FILES_URL`.
    pub location: String,
    pub bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
}

/// A file's content, in pieces.
pub type FileStream = BoxStream<'static, Result<Bytes, StoreError>>;

impl Files {
    /// Reads the setting; touches nothing.
    pub(crate) fn new(files_url: &str) -> Result<Self, StoreError> {
        let refuse =
            |problem: &str| Err(StoreError::Setting { setting: "FILES_URL", problem: problem.to_owned() });
        let root = match files_url.split_once("://") {
            None if files_url.trim().is_empty() => {
                return refuse("is empty: write a folder, such as data/files");
            }
            None => PathBuf::from(files_url),
            Some(("file", _)) => match url::Url::parse(files_url).map(|url| url.to_file_path()) {
                Ok(Ok(path)) => path,
                Ok(Err(())) | Err(_) => {
                    return refuse("is no file URL: write file:///folder, or just the folder");
                }
            },
            Some(("s3", _)) => {
                return refuse("names a bucket: s3:// comes in a later version; write a folder for now");
            }
            Some(_) => return refuse("is neither a folder nor a file:// URL"),
        };
        Ok(Self { root })
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &std::path::Path {
        &self.root
    }

    /// Makes the folder.
    pub(crate) async fn prepare(&self) -> Result<(), StoreError> {
        let unusable = |source| StoreError::Folder { setting: "FILES_URL", path: self.root.clone(), source };
        folder::create(&self.root).await.map_err(unusable)
    }

    /// What may still be written to the folder's disk.
    ///
    /// # Errors
    /// When the folder is not there or its file system does not say.
    pub async fn free_bytes(&self) -> Result<u64, StoreError> {
        let folder = self.root.clone();
        let asked = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&folder)).await;
        let asked = asked.map_err(std::io::Error::from).and_then(|asked| asked.map_err(Into::into));
        let unusable = |source| StoreError::Folder { setting: "FILES_URL", path: self.root.clone(), source };
        asked.map(|space| space.f_bavail.saturating_mul(space.f_frsize)).map_err(unusable)
    }

    /// Begins a file. Ids come from the network: whatever they hold, the file stays below its project's folder.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub async fn create(
        &self,
        project: &str,
        object_id: &str,
        file_id: &str,
    ) -> Result<FileWriter, StoreError> {
        let location = [project, object_id, file_id].map(safe_name).join("/");
        let failed = StoreError::files("create", &location);
        let begin = async {
            let backend = self.backend()?;
            backend.put_multipart(&Path::parse(&location)?).await
        };
        let upload = begin.await.map_err(failed)?;
        Ok(FileWriter { upload, part: PutPayloadMut::new(), hash: Sha256::new(), bytes: 0, location })
    }

    /// Reads a file by the `location` of its row.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub async fn open(&self, location: &str) -> Result<FileStream, StoreError> {
        let begin = async {
            let backend = self.backend()?;
            backend.get(&Path::parse(location)?).await
        };
        let found = begin.await.map_err(StoreError::files("read", location))?;
        let location: Arc<str> = location.into();
        Ok(found.into_stream().map(move |piece| piece.map_err(StoreError::files("read", &location))).boxed())
    }

    fn backend(&self) -> object_store::Result<LocalFileSystem> {
        Ok(LocalFileSystem::new_with_prefix(&self.root)?.with_fsync(true))
    }
}

/// A file being written. Dropped or aborted, it leaves nothing.
#[must_use = "a file that is not finished does not exist"]
pub struct FileWriter {
    upload: Box<dyn MultipartUpload>,
    part: PutPayloadMut,
    hash: Sha256,
    bytes: u64,
    location: String,
}

impl FileWriter {
    /// Adds a piece. Holds at most one part in memory.
    ///
    /// # Errors
    /// When the folder cannot be written, for instance because the disk is full.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), StoreError> {
        self.hash.update(&piece);
        self.bytes += piece.len() as u64;
        // Copied: a piece of the network's buffer would keep all of that buffer in memory.
        self.part.extend_from_slice(&piece);
        if self.part.content_length() >= PART_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        let part = std::mem::take(&mut self.part).freeze();
        self.upload.put_part(part).await.map_err(StoreError::files("write", &self.location))
    }

    /// Gives the file its name, replacing one of the same name. It is on disk when this returns.
    ///
    /// # Errors
    /// When the last bytes cannot be written, synced or renamed; then there is no new file.
    pub async fn finish(mut self) -> Result<StoredFile, StoreError> {
        if self.part.content_length() > 0 {
            self.flush().await?;
        }
        self.upload.complete().await.map_err(StoreError::files("finish", &self.location))?;
        let sha256 = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(StoredFile { location: self.location, bytes: self.bytes, sha256 })
    }

    /// Gives the file up.
    pub async fn abort(mut self) {
        if let Err(error) = self.upload.abort().await {
            tracing::warn!(file = self.location, %error, "a temporary file could not be removed");
        }
    }
}

/// A file name of its own for every id: letters, digits and a few signs stay, every other byte is written `=XX`.
fn safe_name(id: &str) -> String {
    let mut name = String::with_capacity(id.len());
    for (index, byte) in id.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b':' => name.push(char::from(byte)),
            // Not at the beginning: no `.`, no `..`, no hidden files.
            b'.' if index > 0 => name.push('.'),
            _ => name.push_str(&format!("={byte:02X}")),
        }
    }
    if name.is_empty() {
        // No id is written like this, and no name may be empty.
        return "=".to_owned();
    }
    if name.len() > NAME_BYTES_MAX {
        let hash = Sha256::digest(id.as_bytes());
        name.truncate(NAME_BYTES_MAX - 66);
        name.push_str("=_");
        name.extend(hash.iter().map(|byte| format!("{byte:02x}")));
    }
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn real_ids_are_their_own_names() {
        for id in ["file-AbC123", "batch_68a", "ft:gpt-4.1-mini:acme::x1", "ftjob-abc", "default"] {
            assert_eq!(safe_name(id), id);
        }
    }

    #[test]
    fn path_tricks_stay_in_their_folder() {
        for id in
            ["", ".", "..", "../../etc/passwd", "/etc/passwd", "a/../b", "a\\b", "C:\\x", "x#1", "\0", ".ssh"]
        {
            let name = safe_name(id);
            assert!(
                !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '#', '\0']),
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_id_has_a_valid_name_of_its_own(a in "\\PC{0,100}", b in "[./=_a#A%]{0,300}") {
            for id in [&a, &b] {
                let name = safe_name(id);
                prop_assert!(name.len() <= NAME_BYTES_MAX);
                let path = Path::parse(&name).unwrap();
                prop_assert_eq!(path.as_ref(), name.as_str());
            }
            prop_assert_eq!(safe_name(&a) == safe_name(&b), a == b);
        }
    }

    #[test]
    fn a_bucket_is_refused_with_a_word_about_later() {
        let problem = |url: &str| Files::new(url).unwrap_err().to_string();
        assert!(
            problem("s3://bucket/prefix").starts_with("FILES_URL") && problem("s3://b").contains("later")
        );
        assert!(problem("").contains("empty") && problem("gs://b").contains("neither"));
        for url in ["data/files", "/srv/files", "file:///srv/files"] {
            assert!(Files::new(url).is_ok(), "{url}");
        }
    }
}
