//! A store for one test on either database, with direct access to its tables.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{
    AssertSqlSafe, Column as _, Connection as _, PgConnection, Row as _, SqliteConnection, TypeInfo as _,
    ValueRef as _,
};
use store::{S3Config, Store, StoreConfig};
use tempfile::TempDir;
use test_support::pgbouncer::PgBouncer;
use test_support::postgres::PostgresServer;

/// All tables except `events`, which must not change in a second run.
pub(crate) const OBJECT_TABLES: [&str; 15] = [
    "responses",
    "response_files",
    "batches",
    "batch_results",
    "batch_inputs",
    "fine_tuning_jobs",
    "fine_tuned_models",
    "fine_tuning_metrics",
    "fine_tuning_checkpoints",
    "fine_tuning_events",
    "eval_runs",
    "safety_alerts",
    "agent_sessions",
    "agent_turns",
    "files",
];

/// A private database and folder, and one handle on them.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) config: StoreConfig,
    /// The test's own connection to the database.
    direct_url: String,
    folder: TempDir,
}

impl Fixture {
    pub(crate) async fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = sqlite_url(&folder, "data");
        Self::on(url.clone(), url, folder).await
    }

    pub(crate) async fn on_postgres() -> Self {
        let url = PostgresServer::shared().database();
        Self::on(url.clone(), url, tempfile::tempdir().unwrap()).await
    }

    /// PostgreSQL behind a pooler in transaction mode.
    pub(crate) async fn through_pgbouncer() -> Self {
        let direct_url = PostgresServer::shared().database();
        Self::on(pooled(&direct_url), direct_url, tempfile::tempdir().unwrap()).await
    }

    async fn on(database_url: String, direct_url: String, folder: TempDir) -> Self {
        let config = config(database_url, &folder);
        Self { store: Store::open(&config).await.unwrap(), config, direct_url, folder }
    }

    /// A database of the same kind that no worker has opened yet.
    pub(crate) fn another_database(&self) -> StoreConfig {
        let url = if !self.is_postgres() {
            sqlite_url(&self.folder, &format!("{}/another", numbered()))
        } else if self.url() == self.direct_url {
            PostgresServer::shared().database()
        } else {
            pooled(&PostgresServer::shared().database())
        };
        config(url, &self.folder)
    }

    /// A database of the same kind with the objects that `statements` create, opened by a worker afterwards.
    pub(crate) async fn with(self, prepare: impl AsyncFnOnce(&str)) -> Self {
        let (direct_url, through_pooler) = if self.is_postgres() {
            (PostgresServer::shared().database(), self.url() != self.direct_url)
        } else {
            let url = sqlite_url(&self.folder, &format!("{}-prepared", numbered()));
            std::fs::create_dir_all(self.folder.path().join(url.rsplit('/').nth(1).unwrap())).unwrap();
            (format!("{url}?mode=rwc"), false)
        };
        prepare(&direct_url).await;
        let database_url = if through_pooler { pooled(&direct_url) } else { direct_url.clone() };
        Self::on(database_url, direct_url, self.folder).await
    }

    /// A second worker.
    pub(crate) async fn another_handle(&self) -> Store {
        Store::open(&self.config).await.unwrap()
    }

    fn url(&self) -> &str {
        self.config.database_url.expose_secret()
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.url().starts_with("postgres")
    }

    /// The names of a table's columns, sorted.
    pub(crate) async fn columns(&self, table: &str) -> Vec<String> {
        let select = if self.is_postgres() {
            format!(
                "SELECT column_name::text FROM information_schema.columns WHERE table_name = '{table}' ORDER BY 1"
            )
        } else {
            format!("SELECT name FROM pragma_table_info('{table}') ORDER BY 1")
        };
        self.select(&select).await.into_iter().map(|row| row[0].clone().unwrap()).collect()
    }

    /// The names of all tables and views, sorted.
    pub(crate) async fn tables(&self) -> Vec<String> {
        let select = if self.is_postgres() {
            "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
        } else {
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%' ORDER BY 1"
        };
        self.select(select).await.into_iter().map(|row| row[0].clone().unwrap()).collect()
    }

    /// All rows and columns of a table.
    pub(crate) async fn dump(&self, table: &str) -> Vec<Vec<Option<String>>> {
        let mut rows = self.select(&format!("SELECT * FROM {table}")).await;
        rows.sort();
        rows
    }

    /// All rows of all objects.
    pub(crate) async fn dump_objects(&self) -> BTreeMap<&'static str, Vec<Vec<Option<String>>>> {
        let mut dump = BTreeMap::new();
        for table in OBJECT_TABLES {
            dump.insert(table, self.dump(table).await);
        }
        dump
    }

    /// The result of a user's SQL, as the text that SQLite returns.
    pub(crate) async fn select(&self, select: &str) -> Vec<Vec<Option<String>>> {
        let query = AssertSqlSafe(select.to_owned());
        if self.is_postgres() {
            let mut connection = PgConnection::connect(&self.direct_url).await.unwrap();
            let rows = sqlx::query(query).fetch_all(&mut connection).await.unwrap();
            rows.iter().map(|row| (0..row.len()).map(|index| postgres_text(row, index)).collect()).collect()
        } else {
            let mut connection = SqliteConnection::connect(&self.direct_url).await.unwrap();
            let rows = sqlx::query(query).fetch_all(&mut connection).await.unwrap();
            rows.iter().map(|row| (0..row.len()).map(|index| sqlite_text(row, index)).collect()).collect()
        }
    }

    /// The result for any column types, as psql and sqlite3 print it.
    pub(crate) async fn select_text(&self, select: &str) -> Vec<Vec<Option<String>>> {
        if !self.is_postgres() {
            return self.select(select).await;
        }
        let mut connection = PgConnection::connect(&self.direct_url).await.unwrap();
        let query = sqlx::raw_sql(AssertSqlSafe(select.to_owned()));
        let rows = query.fetch_all(&mut connection).await.unwrap();
        let text = |row: &PgRow, index| {
            let value = row.try_get_raw(index).unwrap();
            (!value.is_null()).then(|| value.as_str().unwrap().to_owned())
        };
        rows.iter().map(|row| (0..row.len()).map(|index| text(row, index)).collect()).collect()
    }

    /// Runs statements on the test's own connection.
    pub(crate) async fn execute(&self, statements: &str) {
        execute(&self.direct_url, statements).await;
    }

    /// The URL of the test's own connection.
    pub(crate) fn direct_url(&self) -> &str {
        &self.direct_url
    }
}

/// Runs statements on a database of either kind.
pub(crate) async fn execute(url: &str, statements: &str) {
    let statements = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
    if url.starts_with("postgres") {
        let mut connection = PgConnection::connect(url).await.unwrap();
        statements.execute(&mut connection).await.unwrap();
    } else {
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        statements.execute(&mut connection).await.unwrap();
    }
}

fn numbered() -> usize {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

fn sqlite_url(folder: &TempDir, name: &str) -> String {
    format!("sqlite://{}/{name}/landfall.db", folder.path().display())
}

/// The same database through the pooler.
pub(crate) fn pooled(url: &str) -> String {
    let (_, database) = url.split('?').next().unwrap().rsplit_once('/').unwrap();
    PgBouncer::shared().url(database)
}

fn config(database_url: String, folder: &TempDir) -> StoreConfig {
    let files_url = folder.path().join("files").display().to_string();
    StoreConfig { database_url: database_url.into(), files_url, s3: S3Config::default() }
}

fn sqlite_text(row: &SqliteRow, index: usize) -> Option<String> {
    let value = row.try_get_raw(index).unwrap();
    if value.type_info().name() == "BLOB" {
        return row.get::<Option<Vec<u8>>, _>(index).map(|bytes| format!("{bytes:?}"));
    }
    row.try_get_unchecked(index).unwrap()
}

fn postgres_text(row: &PgRow, index: usize) -> Option<String> {
    let text = |value: Option<&dyn ToString>| value.map(ToString::to_string);
    match row.column(index).type_info().name() {
        "BOOL" => row.get::<Option<bool>, _>(index).map(|flag| i64::from(flag).to_string()),
        "INT8" => text(row.get::<Option<i64>, _>(index).as_ref().map(|number| number as _)),
        "FLOAT8" => text(row.get::<Option<f64>, _>(index).as_ref().map(|number| number as _)),
        "BYTEA" => row.get::<Option<Vec<u8>>, _>(index).map(|bytes| format!("{bytes:?}")),
        "TIMESTAMPTZ" => row
            .get::<Option<DateTime<Utc>>, _>(index)
            .map(|at| at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()),
        // Verbatim, like SQLite.
        "JSON" => row.try_get_unchecked(index).unwrap(),
        "JSONB" => {
            let value = row.try_get_raw(index).unwrap();
            (!value.is_null()).then(|| {
                let bytes = value.as_bytes().unwrap();
                let json = bytes.strip_prefix(&[1]).unwrap_or(bytes);
                serde_json::from_slice::<serde_json::Value>(json).unwrap().to_string()
            })
        }
        _ => row.get(index),
    }
}

/// Normalizes bodies for comparison: `jsonb` preserves the meaning of JSON, but not its whitespace or key order.
pub(crate) fn meaning(body: Option<&[u8]>) -> Option<Result<serde_json::Value, Vec<u8>>> {
    body.map(|body| serde_json::from_slice(body).map_err(|_| body.to_vec()))
}
