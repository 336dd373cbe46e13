//! Raw files: complete or absent, below their root, byte for byte; in a folder and in a bucket alike.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use store::{
    BucketFault, FileRecord, Files, FilesCheck, S3Config, Store, StoreConfig, StoreError, StoredFile,
};
use tempfile::TempDir;
use test_support::s3::{BUCKET, S3Server};
use test_support::wait;
use webhook::Reason;

use crate::samples::file;

/// The contract of every storage.
macro_rules! storages {
    ($storage:ident, [$($test:ident,)+]) => {
        mod $storage {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test(super::TestStorage::$storage().await).await;
                }
            )+
        }
    };
    ($($storage:ident),+) => {
        $(storages!($storage, [
            a_file_has_its_name_only_once_it_is_complete,
            an_aborted_or_dropped_file_leaves_nothing,
            two_writers_of_one_file_leave_one_complete_file,
            path_traversal_stays_below_the_root,
            a_missing_storage_is_retryable_and_a_missing_file_is_not,
            a_writable_storage_passes_the_check_and_stays_unchanged,
            a_removed_file_is_gone_and_may_be_removed_again,
            a_replacement_moves_to_the_regular_location_and_the_old_file_is_removed,
        ]);)+
    };
}
storages!(a_folder, a_bucket);

/// A storage for one test, with direct access to its files.
struct TestStorage {
    config: StoreConfig,
    store: Store,
    folder: TempDir,
    bucket: Option<S3Server>,
}

impl TestStorage {
    async fn a_folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files_url = folder.path().join("files").display().to_string();
        Self::open(folder, files_url, S3Config::default(), None).await
    }

    async fn a_bucket() -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let server = S3Server::start();
        let s3 = S3Config {
            endpoint: Some(server.endpoint()),
            region: None,
            access_key_id: Some("AKIATEST".to_owned()),
            secret_access_key: Some("secret".into()),
            session_token: Some("token".into()),
        };
        let files_url = format!("s3://{BUCKET}/raw/files");
        Self::open(tempfile::tempdir().unwrap(), files_url, s3, Some(server)).await
    }

    async fn open(folder: TempDir, files_url: String, s3: S3Config, bucket: Option<S3Server>) -> Self {
        let database_url = format!("sqlite://{}/data/landfall.db", folder.path().display()).into();
        let config = StoreConfig { database_url, files_url, s3 };
        Self { store: Store::open(&config).await.unwrap(), config, folder, bucket }
    }

    fn files(&self) -> &Files {
        self.store.files()
    }

    /// The names of all complete files, below `FILES_URL`, sorted.
    fn names(&self) -> Vec<String> {
        let unfinished = |name: &String| self.bucket.is_none() && name.contains('#');
        self.all().into_iter().filter(|name| !unfinished(name)).collect()
    }

    /// The number of files that were begun, and neither finished nor removed.
    fn unfinished(&self) -> usize {
        match &self.bucket {
            Some(server) => server.unfinished().len(),
            None => self.all().len() - self.names().len(),
        }
    }

    fn all(&self) -> Vec<String> {
        match &self.bucket {
            Some(server) => {
                let below =
                    |key: String| key.strip_prefix("raw/files/").expect("below the prefix").to_owned();
                server.keys().into_iter().map(below).collect()
            }
            None => {
                let root = self.folder.path().join("files");
                let name = |path: PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
                let mut names: Vec<String> = files_below(&root).into_iter().map(name).collect();
                names.sort_unstable();
                names
            }
        }
    }

    /// Removes the storage.
    fn lose(&self) {
        match &self.bucket {
            Some(server) => server.delete_bucket(BUCKET),
            None => {
                let root = self.folder.path().join("files");
                std::fs::remove_dir_all(&root).unwrap();
                std::fs::write(root, b"in the way").unwrap();
            }
        }
    }
}

/// Every file below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

async fn content(files: &Files, location: &str) -> Vec<u8> {
    let pieces: Vec<Bytes> = files.open(location).await.unwrap().try_collect().await.unwrap();
    pieces.concat()
}

async fn a_file_has_its_name_only_once_it_is_complete(storage: TestStorage) {
    let mut writer = storage.files().create("default", "batch_1", "file_out").await.unwrap();
    let piece = Bytes::from((0..1_000_003).map(|index: u32| index as u8).collect::<Vec<_>>());
    for _ in 0..20 {
        writer.write(piece.clone()).await.unwrap();
    }
    assert_eq!((storage.names().len(), storage.unfinished()), (0, 1));
    let stored = writer.finish().await.unwrap();
    assert_eq!((stored.location.as_str(), stored.bytes), ("default/batch_1/file_out", 20_000_060));
    assert_eq!((storage.names(), storage.unfinished()), (vec![stored.location.clone()], 0));
    assert!(content(storage.files(), &stored.location).await == piece.repeat(20));

    let empty = storage.files().create("default", "batch_1", "empty").await.unwrap().finish().await.unwrap();
    let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!((empty.bytes, empty.sha256.as_str()), (0, nothing));
    assert!(content(storage.files(), &empty.location).await.is_empty());
}

async fn an_aborted_or_dropped_file_leaves_nothing(storage: TestStorage) {
    for dropped in [false, true] {
        let mut writer = storage.files().create("default", "batch_1", "file_out").await.unwrap();
        writer.write(Bytes::from(vec![7; 9 << 20])).await.unwrap();
        assert_eq!(storage.unfinished(), 1);
        if dropped {
            drop(writer)
        } else {
            writer.abort().await
        }
        let gone = async || (storage.unfinished() == 0).then_some(());
        wait::until("removal of the unfinished file", gone).await;
        assert!(storage.names().is_empty());
    }
}

async fn two_writers_of_one_file_leave_one_complete_file(storage: TestStorage) {
    let mut one = storage.files().create("default", "batch_1", "file_out").await.unwrap();
    let mut two = storage.files().create("default", "batch_1", "file_out").await.unwrap();
    one.write(Bytes::from_static(b"first")).await.unwrap();
    two.write(Bytes::from_static(b"second, and longer")).await.unwrap();
    let (two, one) = (two.finish().await.unwrap(), one.finish().await.unwrap());
    assert_eq!(one.location, two.location);
    assert_eq!(content(storage.files(), &one.location).await, b"first");
    assert_eq!((storage.names(), storage.unfinished()), (vec![one.location], 0));
}

async fn path_traversal_stays_below_the_root(storage: TestStorage) {
    let tricks =
        ["..", ".", "", "/etc/passwd", "../../outside", "a/b", "a\\b", "x#1", "%2e%2e", "\0", "..\u{2215}"];
    let long = "x/".repeat(2000);
    let mut locations = Vec::new();
    for id in tricks.into_iter().chain([long.as_str()]) {
        for (project, object_id, file_id) in [(id, "o", "f"), ("p", id, "f"), ("p", "o", id)] {
            let mut writer = storage.files().create(project, object_id, file_id).await.unwrap();
            writer.write(Bytes::from_static(b"content")).await.unwrap();
            let location = writer.finish().await.unwrap().location;
            assert_eq!(location.split('/').count(), 3, "{location}");
            drop(storage.files().open(&location).await.unwrap());
            locations.push(location);
        }
    }
    locations.sort_unstable();
    assert_eq!(storage.names(), locations);
    let beside = files_below(storage.folder.path());
    let (files, data) = (storage.folder.path().join("files"), storage.folder.path().join("data"));
    assert!(beside.iter().all(|path| path.starts_with(&files) || path.starts_with(&data)));
    assert!(storage.files().open("../data/landfall.db").await.is_err());
}

async fn a_missing_storage_is_retryable_and_a_missing_file_is_not(storage: TestStorage) {
    let missing = storage.files().open("default/batch_1/none").await.err().unwrap();
    assert_eq!((missing.is_retryable(), missing.reason()), (false, Reason::FilesUnavailable));
    storage.lose();
    let lost = storage.files().create("default", "batch_1", "file_out").await.err().unwrap();
    assert!(matches!(lost, StoreError::Files { .. }));
    assert_eq!((lost.is_retryable(), lost.reason()), (true, Reason::FilesUnavailable));
}

async fn a_writable_storage_passes_the_check_and_stays_unchanged(storage: TestStorage) {
    let free_bytes = storage.files().free_bytes().await.unwrap();
    match Store::check_files(&storage.config).await.unwrap() {
        FilesCheck::Folder(folder) => assert!(folder.exists && free_bytes.is_some()),
        FilesCheck::Bucket { name } => assert_eq!((name.as_str(), free_bytes), (BUCKET, None)),
    }
    assert!(storage.all().is_empty());
    storage.lose();
    let lost = Store::check_files(&storage.config).await.unwrap_err();
    assert_eq!(lost.bucket_fault(), storage.bucket.is_some().then_some(BucketFault::Missing));
}

async fn a_removed_file_is_gone_and_may_be_removed_again(storage: TestStorage) {
    let mut locations = Vec::new();
    for file_id in ["one", "two"] {
        let writer = storage.files().create("default", "batch_1", file_id).await.unwrap();
        locations.push(writer.finish().await.unwrap().location);
    }
    for _ in 0..2 {
        storage.files().remove(&locations[0]).await.unwrap();
        assert_eq!(storage.names(), locations[1..]);
    }
}

/// A case that a server accepting any key cannot show.
#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_bucket_is_retryable_and_its_secrets_are_never_shown() {
    let mut storage = TestStorage::a_bucket().await;
    let shown = format!("{:?} {:?}", storage.config, storage.store);
    assert!(!shown.contains("\"secret\"") && !shown.contains("token\""), "{shown}");
    if let Some(server) = &mut storage.bucket {
        server.kill();
    }
    let unreachable = Store::check_files(&storage.config).await.unwrap_err();
    assert_eq!(unreachable.bucket_fault(), Some(BucketFault::Unreachable));
    assert!(unreachable.is_retryable());
}

async fn a_replacement_moves_to_the_regular_location_and_the_old_file_is_removed(storage: TestStorage) {
    let files = storage.files();
    let write = async |content: &'static str, location: &str| {
        let mut writer = files.create_at(location).await.unwrap();
        writer.write(content.into()).await.unwrap();
        let StoredFile { bytes, sha256, location } = writer.finish().await.unwrap();
        let record = FileRecord { bytes, sha256, location, ..file() };
        storage.store.save_file(&record).await.unwrap();
        record
    };
    let record = file();
    let beside = || Files::replacement_location(&record.project, &record.object_id, &record.file_id);
    let home = Files::location(&record.project, &record.object_id, &record.file_id);
    // The first file is where an interrupted earlier replacement left it.
    for old in [home.clone(), beside()] {
        write("old", &old).await;
        let new = write("new", &beside()).await;
        storage.store.move_to_final_location(&new, Some(&old)).await.unwrap();
        assert_eq!(storage.names(), [home.as_str()]);
        assert_eq!(content(files, &home).await, b"new");
        let row =
            storage.store.file_of("default", &record.object_id, &record.file_id).await.unwrap().unwrap();
        assert_eq!((row.location, row.sha256), (home.clone(), new.sha256));
    }
}
