//! Tests of SQLite only: the file, its lock, and times as text.

use secrecy::ExposeSecret as _;
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use store::{EventFilter, FileRecord, S3Config, Store, StoreConfig, StoreError};

use crate::fixture::Fixture;
use crate::samples::{event, file};

fn config(folder: &tempfile::TempDir) -> StoreConfig {
    StoreConfig {
        database_url: format!("sqlite://{}/a/b/landfall.db", folder.path().display()).into(),
        files_url: folder.path().join("files").display().to_string(),
        s3: S3Config::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn open_existing_creates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Store::open_existing(&config(&folder)).await.unwrap_err();
    assert!(
        matches!(missing, StoreError::NoDatabase(_)) && missing.to_string().contains("worker"),
        "{missing}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was created");

    std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
    std::fs::write(folder.path().join("a/b/landfall.db"), b"").unwrap();
    let empty = Store::open_existing(&config(&folder)).await.unwrap_err();
    assert!(matches!(empty, StoreError::OldSchema { found: 0, needed: 3.. }), "{empty}");
    assert!(!empty.is_retryable());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_waits_for_another_process_that_holds_the_lock() {
    let fixture = Fixture::on_sqlite().await;
    let mut other = SqliteConnection::connect(fixture.config.database_url.expose_secret()).await.unwrap();
    let mut lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let store = fixture.store.clone();
    let write = tokio::spawn(async move { store.record_delivery(&event("wh_1", "resp_1"), 1).await });
    // Readers are not blocked.
    assert!(fixture.store.list_events(&EventFilter::default()).await.unwrap().is_empty());
    lock.execute("DELETE FROM events").await.unwrap();
    lock.commit().await.unwrap();
    write.await.unwrap().unwrap();
    assert_eq!(fixture.dump("events").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_in_tables_are_fixed_width() {
    let fixture = Fixture::on_sqlite().await;
    fixture.store.record_delivery(&event("wh_1", "resp_1"), 1).await.unwrap();
    let times = fixture.select("SELECT created_at, received_at FROM events").await;
    let expected = ["2026-11-23T20:02:22.000000Z", "2026-11-23T20:02:27.000000Z"];
    assert_eq!(times, [expected.map(|time| Some(time.to_owned()))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_database_file_is_an_error_with_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
    std::fs::write(folder.path().join("a/b/landfall.db"), b"this is a text, and no database at all").unwrap();
    let error = Store::open(&config(&folder)).await.unwrap_err();
    assert!(matches!(error, StoreError::Migrate(_)), "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("not a database"), "{cause}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_value_is_permanent_and_a_lost_database_is_retryable() {
    let fixture = Fixture::on_sqlite().await;
    let too_large = fixture.store.save_file(&FileRecord { bytes: u64::MAX, ..file() }).await.unwrap_err();
    assert!(!too_large.is_retryable());
    fixture.execute("DROP TABLE files").await;
    let lost = fixture.store.save_file(&file()).await.unwrap_err();
    assert_eq!((lost.is_retryable(), lost.reason()), (true, webhook::Reason::DatabaseUnavailable));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_keep_their_order_when_the_file_is_vacuumed() {
    let fixture = Fixture::on_sqlite().await;
    for webhook_id in ["wh_1", "wh_2", "wh_3"] {
        fixture.store.record_delivery(&event(webhook_id, "resp_1"), 1).await.unwrap();
    }
    let newest = fixture.store.event_watermark().await.unwrap();
    // Like `landfall prune`; afterwards rowids may restart.
    fixture.execute("DELETE FROM events WHERE webhook_id <> 'wh_3'; VACUUM").await;
    assert_eq!(fixture.store.event_watermark().await.unwrap(), newest);
    fixture.store.record_delivery(&event("wh_4", "resp_1"), 1).await.unwrap();
    assert!(fixture.store.event_watermark().await.unwrap() > newest);
}
