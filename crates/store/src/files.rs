//! Raw files, byte for byte, under `<project>/<object id>/<file id>`. A file gets its name only once it is complete: in
//! a folder after file and folder are synced, in a bucket when the multipart upload completes. Until then it is not
//! visible.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use error_text::chain;
use futures_util::stream::{BoxStream, StreamExt as _};
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectStore as _, ObjectStoreExt as _, PutPayloadMut,
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::columns::columns;
use crate::error::{READ, StoreError};
use crate::file_storage::{self, FileStorage, S3Config};
use crate::folder;
use crate::folder_check::{self, FolderCheck};

/// A part is written once it has this size, which bounds the memory of a download. Object stores require at least 5 MiB
/// per part and accept 10,000 parts: 80 GiB.
const PART_BYTES: usize = 8 << 20;
/// File systems allow names of 255 bytes; the temporary name is slightly longer.
const NAME_BYTES_MAX: usize = 200;

/// A row of `files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileRecord {
    pub project: String,
    pub file_id: String,
    /// The batch or job that the file belongs to.
    pub object_id: String,
    pub purpose: Option<String>,
    pub filename: Option<String>,
    pub bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
    /// Relative to `FILES_URL`.
    pub location: String,
    pub created_at: Option<DateTime<Utc>>,
    /// When OpenAI deletes its copy; ours is kept.
    pub expires_at: Option<DateTime<Utc>>,
}

columns! {
    FileRecord {
        project: Text,
        file_id: Key,
        object_id: Key,
        purpose: Text,
        filename: Text,
        bytes: Integer,
        sha256: Text,
        location: Text,
        created_at: Time,
        expires_at: Time,
    }
}

/// The storage of raw files: a folder or a bucket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Files {
    storage: FileStorage,
}

/// A storage that passed the write check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilesCheck {
    Folder(FolderCheck),
    Bucket { name: String },
}

/// A file that is complete and durable.
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
    /// Parses the settings, without I/O.
    pub(crate) fn new(files_url: &str, s3: &S3Config) -> Result<Self, StoreError> {
        Ok(Self { storage: FileStorage::new(files_url, s3)? })
    }

    /// Creates the folder. A bucket must exist; otherwise writes fail and are retried.
    pub(crate) async fn prepare(&self) -> Result<(), StoreError> {
        match &self.storage {
            FileStorage::Folder(root) => folder::create(root).await.map_err(unusable(root)),
            FileStorage::Bucket { .. } => Ok(()),
        }
    }

    /// Checks that files can be written, with a small file that is removed afterwards.
    pub(crate) async fn check(&self) -> Result<FilesCheck, StoreError> {
        Ok(match &self.storage {
            FileStorage::Folder(root) => FilesCheck::Folder(folder_check::check("FILES_URL", root).await?),
            FileStorage::Bucket { name, files } => {
                file_storage::check_bucket(files).await?;
                FilesCheck::Bucket { name: name.clone() }
            }
        })
    }

    /// Free space on the folder's disk. `None` for a bucket.
    ///
    /// # Errors
    /// When the folder is missing or its file system cannot be queried.
    pub async fn free_bytes(&self) -> Result<Option<u64>, StoreError> {
        let FileStorage::Folder(root) = &self.storage else { return Ok(None) };
        let folder = root.clone();
        let asked = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&folder)).await;
        let asked = asked.map_err(std::io::Error::from).and_then(|asked| asked.map_err(Into::into));
        asked.map(|space| Some(space.f_bavail.saturating_mul(space.f_frsize))).map_err(unusable(root))
    }

    /// Begins a file. Ids come from the network: whatever they contain, the file stays below its project's folder.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub async fn create(
        &self,
        project: &str,
        object_id: &str,
        file_id: &str,
    ) -> Result<FileWriter, StoreError> {
        self.create_at(&Self::location(project, object_id, file_id)).await
    }

    /// Like [`Files::create`], at a given location: see [`Files::replacement_location`].
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub async fn create_at(&self, location: &str) -> Result<FileWriter, StoreError> {
        let location = location.to_owned();
        let failed = StoreError::files("create the file", &location);
        let begin = async {
            let backend = self.storage.backend()?;
            backend.put_multipart(&Path::parse(&location)?).await
        };
        let upload = Some(begin.await.map_err(failed)?);
        Ok(FileWriter { upload, part: PutPayloadMut::new(), hash: Sha256::new(), bytes: 0, location })
    }

    /// Reads a file by the `location` of its row.
    ///
    /// # Errors
    /// When the file is missing or cannot be read.
    pub async fn open(&self, location: &str) -> Result<FileStream, StoreError> {
        self.open_part(location, None).await
    }

    /// Like [`Files::open`], only these bytes of the file.
    ///
    /// # Errors
    /// When the file is missing, is shorter, or cannot be read.
    pub async fn open_range(&self, location: &str, bytes: Range<u64>) -> Result<FileStream, StoreError> {
        self.open_part(location, Some(bytes.into())).await
    }

    async fn open_part(&self, location: &str, range: Option<GetRange>) -> Result<FileStream, StoreError> {
        let begin = async {
            let backend = self.storage.backend()?;
            backend.get_opts(&Path::parse(location)?, GetOptions { range, ..GetOptions::default() }).await
        };
        let found = begin.await.map_err(StoreError::files(READ, location))?;
        let location: Arc<str> = location.into();
        Ok(found.into_stream().map(move |piece| piece.map_err(StoreError::files(READ, &location))).boxed())
    }
}

/// Locations of files.
impl Files {
    /// The location of a file, unless it was replaced and could not be moved there.
    pub fn location(project: &str, object_id: &str, file_id: &str) -> String {
        [project, object_id, file_id].map(safe_name).join("/")
    }

    /// A unique location for a file's replacement, as long as the old file is still needed.
    pub fn replacement_location(project: &str, object_id: &str, file_id: &str) -> String {
        // No encoded id contains `==`, and the number is random.
        format!("{}=={:016x}", Self::location(project, object_id, file_id), fastrand::u64(..))
    }

    /// Copies a file, overwriting the destination.
    pub(crate) async fn copy(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let copy = async { self.storage.backend()?.copy(&Path::parse(from)?, &Path::parse(to)?).await };
        copy.await.map_err(StoreError::files("copy the file", from))
    }
}

/// Removal of files.
impl Files {
    /// Removes a file by the `location` of its row. Succeeds if the file is already gone.
    ///
    /// # Errors
    /// When the storage cannot be written.
    pub async fn remove(&self, location: &str) -> Result<(), StoreError> {
        let remove = async { self.storage.backend()?.delete(&Path::parse(location)?).await };
        match remove.await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(StoreError::files("remove the file", location)(error)),
        }
    }
}

fn unusable(root: &std::path::Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = root.to_owned();
    move |source| StoreError::Folder { setting: "FILES_URL", path, source }
}

/// A file that is being written. If it is dropped or aborted, nothing remains.
#[must_use = "a file does not exist until it is finished"]
pub struct FileWriter {
    /// `None` once the upload is finished or aborted.
    upload: Option<Box<dyn MultipartUpload>>,
    part: PutPayloadMut,
    hash: Sha256,
    bytes: u64,
    location: String,
}

impl FileWriter {
    /// Adds a piece. Holds at most one part in memory.
    ///
    /// # Errors
    /// When the storage cannot be written, for example because the disk is full.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), StoreError> {
        self.hash.update(&piece);
        self.bytes += piece.len() as u64;
        let mut rest = &piece[..];
        while !rest.is_empty() {
            // Some object stores require all parts except the last to have the same size.
            let (now, later) = rest.split_at(rest.len().min(PART_BYTES - self.part.content_length()));
            // Copied, because a slice would keep the whole network buffer in memory.
            self.part.extend_from_slice(now);
            rest = later;
            if self.part.content_length() == PART_BYTES {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        let part = std::mem::take(&mut self.part).freeze();
        let Some(upload) = &mut self.upload else { return Ok(()) };
        upload.put_part(part).await.map_err(StoreError::files("write the file", &self.location))
    }

    /// Gives the file its name, replacing an existing file. It is durable when this returns.
    ///
    /// # Errors
    /// When the last bytes cannot be written, synced or renamed; then no new file exists.
    pub async fn finish(mut self) -> Result<StoredFile, StoreError> {
        if self.part.content_length() > 0 {
            self.flush().await?;
        }
        if let Some(upload) = &mut self.upload {
            upload.complete().await.map_err(StoreError::files("finish the file", &self.location))?;
        }
        // Nothing is left to abort.
        self.upload = None;
        let hash = std::mem::take(&mut self.hash).finalize();
        let sha256 = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(StoredFile { location: std::mem::take(&mut self.location), bytes: self.bytes, sha256 })
    }

    /// Discards the file.
    pub async fn abort(mut self) {
        if let Some(upload) = self.upload.take() {
            abort_upload(upload, &self.location).await;
        }
    }
}

impl Drop for FileWriter {
    /// Otherwise uploaded parts would stay in the bucket, invisible but billed.
    fn drop(&mut self) {
        let (Some(upload), Ok(runtime)) = (self.upload.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let location = std::mem::take(&mut self.location);
        runtime.spawn(async move { abort_upload(upload, &location).await });
    }
}

async fn abort_upload(mut upload: Box<dyn MultipartUpload>, location: &str) {
    if let Err(error) = upload.abort().await {
        tracing::warn!(file = location, error = chain(&error), "could not remove an unfinished file");
    }
}

/// A unique file name for every id: letters, digits, `_`, `-`, `:` and `.` are kept, every other byte is written as
/// `=XX`.
fn safe_name(id: &str) -> String {
    let mut name = String::with_capacity(id.len());
    for (index, byte) in id.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b':' => name.push(char::from(byte)),
            // Not as the first character: no `.`, no `..`, no hidden files.
            b'.' if index > 0 => name.push('.'),
            _ => name.push_str(&format!("={byte:02X}")),
        }
    }
    if name.is_empty() {
        // No other id is encoded like this, and a name must not be empty.
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
    fn real_ids_are_valid_names() {
        for id in ["file-AbC123", "batch_68a", "ft:gpt-6-luna:acme::x1", "ftjob-abc", "default"] {
            assert_eq!(safe_name(id), id);
        }
    }

    #[test]
    fn a_replacement_is_stored_next_to_the_file_under_a_name_no_id_has() {
        let home = Files::location("default", "batch_1", "file-1");
        let other = Files::replacement_location("default", "batch_1", "file-1");
        assert_eq!(home, "default/batch_1/file-1");
        assert!(other.starts_with("default/batch_1/file-1=="), "{other}");
        assert_ne!(other, Files::replacement_location("default", "batch_1", "file-1"));
        assert!(Path::parse(&other).is_ok_and(|path| path.as_ref() == other));
        assert!(!safe_name("file-1==0").contains("=="));
    }

    #[test]
    fn path_traversal_stays_in_its_folder() {
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
        fn every_id_has_a_valid_unique_name(a in "\\PC{0,100}", b in "[./=_a#A%]{0,300}") {
            for id in [&a, &b] {
                let name = safe_name(id);
                prop_assert!(name.len() <= NAME_BYTES_MAX);
                let path = Path::parse(&name).unwrap();
                prop_assert_eq!(path.as_ref(), name.as_str());
            }
            prop_assert_eq!(safe_name(&a) == safe_name(&b), a == b);
        }
    }
}
