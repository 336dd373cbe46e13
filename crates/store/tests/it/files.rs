//! Raw files: whole or not at all, below their folder, byte for byte.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use store::StoreError;
use test_support::wait;
use webhook::Reason;

use crate::fixture::Fixture;

/// Every file below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

pub(crate) async fn a_file_has_its_name_only_when_it_is_whole(fixture: Fixture) {
    let path = fixture.files_folder().join("default/batch_1/file_out");
    let mut writer = fixture.store.files().create("default", "batch_1", "file_out").await.unwrap();
    let piece = Bytes::from((0..1_000_003).map(|index: u32| index as u8).collect::<Vec<_>>());
    for _ in 0..20 {
        writer.write(piece.clone()).await.unwrap();
        assert!(!path.exists());
    }
    let stored = writer.finish().await.unwrap();
    assert_eq!((stored.location.as_str(), stored.bytes), ("default/batch_1/file_out", 20_000_060));
    assert_eq!(files_below(&fixture.files_folder()), [path]);
    let read: Vec<Bytes> =
        fixture.store.files().open(&stored.location).await.unwrap().try_collect().await.unwrap();
    assert!(read.concat() == piece.repeat(20));

    let empty =
        fixture.store.files().create("default", "batch_1", "empty").await.unwrap().finish().await.unwrap();
    let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!((empty.bytes, empty.sha256.as_str()), (0, nothing));
}

pub(crate) async fn an_aborted_or_dropped_file_leaves_nothing(fixture: Fixture) {
    let files = fixture.store.files();
    for dropped in [false, true] {
        let mut writer = files.create("default", "batch_1", "file_out").await.unwrap();
        writer.write(Bytes::from(vec![7; 9 << 20])).await.unwrap();
        assert_eq!(files_below(&fixture.files_folder()).len(), 1, "under its temporary name");
        if dropped {
            drop(writer)
        } else {
            writer.abort().await
        }
        let gone = async || files_below(&fixture.files_folder()).is_empty().then_some(());
        wait::until("the temporary file to be removed", gone).await;
    }
}

pub(crate) async fn two_writers_of_one_file_leave_one_whole_file(fixture: Fixture) {
    let files = fixture.store.files();
    let mut one = files.create("default", "batch_1", "file_out").await.unwrap();
    let mut two = files.create("default", "batch_1", "file_out").await.unwrap();
    one.write(Bytes::from_static(b"first")).await.unwrap();
    two.write(Bytes::from_static(b"second, and longer")).await.unwrap();
    let (two, one) = (two.finish().await.unwrap(), one.finish().await.unwrap());
    assert_eq!(one.location, two.location);
    let path = fixture.files_folder().join(&one.location);
    assert_eq!(std::fs::read(&path).unwrap(), b"first");
    assert_eq!(files_below(&fixture.files_folder()), [path]);
}

pub(crate) async fn path_tricks_stay_below_the_folder(fixture: Fixture) {
    let tricks =
        ["..", ".", "", "/etc/passwd", "../../outside", "a/b", "a\\b", "x#1", "%2e%2e", "\0", "..\u{2215}"];
    let long = "x/".repeat(2000);
    let mut locations = Vec::new();
    for id in tricks.into_iter().chain([long.as_str()]) {
        for (project, object_id, file_id) in [(id, "o", "f"), ("p", id, "f"), ("p", "o", id)] {
            let mut writer = fixture.store.files().create(project, object_id, file_id).await.unwrap();
            writer.write(Bytes::from_static(b"content")).await.unwrap();
            let location = writer.finish().await.unwrap().location;
            assert_eq!(location.split('/').count(), 3, "{location}");
            drop(fixture.store.files().open(&location).await.unwrap());
            locations.push(location);
        }
    }
    let folder = fixture.files_folder();
    let mut expected: Vec<PathBuf> = locations.iter().map(|location| folder.join(location)).collect();
    let mut found = files_below(&folder);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    let beside = files_below(folder.parent().unwrap());
    assert!(
        beside
            .iter()
            .all(|path| path.starts_with(&folder) || path.starts_with(folder.with_file_name("data")))
    );
    assert!(fixture.store.files().open("../data/landfall.db").await.is_err());
}

pub(crate) async fn a_lost_folder_is_retryable_and_a_missing_file_is_not(fixture: Fixture) {
    let missing = fixture.store.files().open("default/batch_1/none").await.err().unwrap();
    assert_eq!((missing.is_retryable(), missing.reason()), (false, Reason::FilesUnavailable));
    std::fs::remove_dir_all(fixture.files_folder()).unwrap();
    std::fs::write(fixture.files_folder(), b"in the way").unwrap();
    let lost = fixture.store.files().create("default", "batch_1", "file_out").await.err().unwrap();
    assert!(matches!(lost, StoreError::Files { .. }));
    assert_eq!((lost.is_retryable(), lost.reason()), (true, Reason::FilesUnavailable));
}
