//! A store of the test's own, and a look at its tables from outside.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection};
use store::{Store, StoreConfig};
use tempfile::TempDir;

/// All tables but `events`: what must be equal after a second run.
pub(crate) const OBJECT_TABLES: [&str; 8] = [
    "responses",
    "batches",
    "batch_results",
    "fine_tuning_jobs",
    "fine_tuned_models",
    "fine_tuning_metrics",
    "eval_runs",
    "files",
];

/// A database and a folder that nobody else uses, and one handle on them.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) config: StoreConfig,
    folder: TempDir,
}

impl Fixture {
    pub(crate) async fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            database_url: format!("sqlite://{}/data/landfall.db", folder.path().display()).into(),
            files_url: folder.path().join("files").display().to_string(),
        };
        Self { store: Store::open(&config).await.unwrap(), config, folder }
    }

    /// A second worker.
    pub(crate) async fn another_handle(&self) -> Store {
        Store::open(&self.config).await.unwrap()
    }

    pub(crate) fn files_folder(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// Every row of a table, every column of it.
    pub(crate) async fn dump(&self, table: &str) -> Vec<Vec<String>> {
        let columns = self.select(&format!("SELECT name FROM pragma_table_info('{table}')")).await;
        let quoted: Vec<String> =
            columns.iter().map(|row| format!("'{0}=' || quote({0})", row[0].as_ref().unwrap())).collect();
        let rows =
            self.select(&format!("SELECT {} FROM {table} ORDER BY 1, 2, 3, 4", quoted.join(", "))).await;
        rows.into_iter().map(|row| row.into_iter().map(Option::unwrap).collect()).collect()
    }

    /// Every row of every object.
    pub(crate) async fn dump_objects(&self) -> BTreeMap<&'static str, Vec<Vec<String>>> {
        let mut dump = BTreeMap::new();
        for table in OBJECT_TABLES {
            dump.insert(table, self.dump(table).await);
        }
        dump
    }

    /// The answer to a user's SQL, as text.
    pub(crate) async fn select(&self, select: &str) -> Vec<Vec<Option<String>>> {
        let mut connection = self.connection().await;
        let rows = sqlx::query(AssertSqlSafe(select.to_owned())).fetch_all(&mut connection).await.unwrap();
        rows.iter()
            .map(|row| (0..row.len()).map(|index| row.try_get_unchecked(index).unwrap()).collect())
            .collect()
    }

    /// A connection beside the store's own.
    pub(crate) async fn connection(&self) -> SqliteConnection {
        let url = format!("sqlite://{}/data/landfall.db", self.folder.path().display());
        SqliteConnection::connect(&url).await.unwrap()
    }
}
