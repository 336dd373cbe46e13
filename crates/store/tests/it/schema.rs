//! One schema in two dialects, created once by any number of workers, and compatible with workers of older versions.

use store::{EventFilter, Store};

use crate::fixture::Fixture;
use crate::samples::{batch, chunk, completion, event, response, result};

#[tokio::test(flavor = "multi_thread")]
async fn both_databases_have_the_same_tables_views_and_columns() {
    let (sqlite, postgres) = (Fixture::on_sqlite().await, Fixture::on_postgres().await);
    let tables = sqlite.tables().await;
    assert_eq!(tables, postgres.tables().await);
    assert!(tables.len() > 12, "{tables:?}");
    for table in tables {
        assert_eq!(sqlite.columns(&table).await, postgres.columns(&table).await, "{table}");
    }
    let versions =
        (sqlite.store.schema_version().await.unwrap(), postgres.store.schema_version().await.unwrap());
    assert_eq!(versions.0, versions.1);
}

/// A worker of the version before the newest migration, next to one of this version.
pub(crate) async fn an_older_version_runs_on_a_newer_schema(fixture: Fixture) {
    fixture
        .execute(
            "INSERT INTO landfall_migrations (version, description, success, checksum, execution_time) \
             VALUES (9999, 'of a later version', TRUE, '', 0); \
             ALTER TABLE events ADD COLUMN later TEXT; ALTER TABLE responses ADD COLUMN later TEXT; \
             ALTER TABLE batches ADD COLUMN later TEXT; ALTER TABLE batch_results ADD COLUMN later TEXT;",
        )
        .await;
    let store = fixture.another_handle().await;
    store.record_delivery(&event("wh_1", "resp_1"), 1).await.unwrap();
    store.save_response(&response("{}"), &completion("wh_1")).await.unwrap();
    store.begin_batch(&batch()).await.unwrap();
    let rows = (1..=3).map(result).collect();
    store.append_batch_results(&chunk(store::ResultSource::Output, 1, rows)).await.unwrap();
    let looking = Store::open_existing(&fixture.config).await.unwrap();
    assert_eq!(looking.find("resp_1").await.unwrap().len(), 1);
    assert_eq!(looking.schema_version().await.unwrap(), 9999);
    assert_eq!(looking.list_events(&EventFilter::default()).await.unwrap().len(), 1);
}

pub(crate) async fn many_workers_starting_at_once_create_one_schema(fixture: Fixture) {
    for round in 0..3 {
        let config = fixture.another_database();
        let starts = [0; 8].map(|_| {
            let config = config.clone();
            tokio::spawn(async move { Store::open(&config).await })
        });
        for (number, start) in starts.into_iter().enumerate() {
            let store = start.await.unwrap().unwrap();
            store.record_delivery(&event(&format!("wh_{number}"), "x"), 1).await.unwrap();
        }
        let store = Store::open_existing(&config).await.unwrap();
        assert_eq!(store.list_events(&EventFilter::default()).await.unwrap().len(), 8, "round {round}");
    }
}
