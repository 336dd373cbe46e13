//! The SQLite dialect: connections, migrations, bulk inserts. A process has one writer and several readers; writers of
//! different processes retry until the lock is free.

pub(crate) mod batch_rows;
pub(crate) mod bind;

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::migrate::{Migrate as _, MigrateError, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, Transaction};
use tokio::sync::Mutex;

use crate::error::{self, StoreError};
use crate::folder;
use crate::migrations;
use crate::obstacle::Obstacle;
use crate::read_limits::ReadLimits;
use crate::schema;

/// How long a write waits for a write of another process. Writing a chunk of a batch takes far less.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long SQLite itself waits before our writer retries. SQLite's own backoff grows to 100 ms, during which the lock
/// changes hands many times and is often free: several workers together would then write less than a single one.
const WRITER_BUSY_TIMEOUT: Duration = Duration::from_millis(4);
const WRITER_PAUSE_MAX: Duration = Duration::from_millis(2);
/// How long a call waits for a connection of this process.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(60);
const READERS_MAX: u32 = 4;
/// Steps of SQLite's virtual machine between two looks at the clock: well below a millisecond.
const STEPS_PER_LOOK: i32 = 10_000;
/// The WAL is truncated to this size after a long write.
const WAL_BYTES_MAX: &str = "67108864";
/// Pages in the WAL after which a process that deletes many rows copies them to the database itself: a quarter of
/// SQLite's default, so that the next commit of another process rarely has to.
const PAGES_OF_DELETIONS: &str = "PRAGMA wal_autocheckpoint = 250";
/// The migrations table up to version 6.
const LEGACY_TABLE: &str = "_sqlx_migrations";
/// Workers that start at the same time on a new file collide while they switch it to WAL, where SQLite's busy timeout
/// does not apply.
const OPEN_RETRY_EVERY: Duration = Duration::from_millis(20);

/// Holds the write lock from the start, so nothing it has read changes before it commits.
pub(crate) type WriteTransaction = Transaction<'static, sqlx::Sqlite>;

/// A database file.
#[derive(Debug, Clone)]
pub(crate) struct Sqlite {
    writer: SqlitePool,
    /// Orders the writers of this process: first come, first served.
    write_queue: Arc<Mutex<()>>,
    readers: SqlitePool,
    /// The longest that a read may take.
    read_max: Option<Duration>,
}

impl Sqlite {
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        let options = options(url)?.create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
        if let Some(path) = options.get_filename().parent().filter(|path| !path.as_os_str().is_empty()) {
            let unusable =
                |source| StoreError::Folder { setting: "DATABASE_URL", path: path.to_owned(), source };
            folder::create(path).await.map_err(unusable)?;
        }
        let started = Instant::now();
        loop {
            match migrate(&options).await {
                Ok(()) => return Ok(Self::connect(options)),
                Err(error) if is_busy(&error) && started.elapsed() < BUSY_TIMEOUT => {
                    tokio::time::sleep(OPEN_RETRY_EVERY).await;
                }
                Err(error) => return Err(StoreError::Migrate(error)),
            }
        }
    }

    pub(crate) async fn open_for_reading(url: &str, limits: ReadLimits) -> Result<Self, StoreError> {
        let mut sqlite = Self::open_existing(url).await?;
        let options = (*sqlite.readers.connect_options()).clone();
        sqlite.readers.close().await;
        sqlite.readers = pool(limits.connections).connect_lazy_with(options.clone());
        // Like PostgreSQL, it refuses writes.
        sqlite.writer = pool(1).connect_lazy_with(options);
        sqlite.read_max = Some(limits.statement_time);
        Ok(sqlite)
    }

    pub(crate) async fn open_existing(url: &str) -> Result<Self, StoreError> {
        let options = options(url)?.create_if_missing(false);
        if !options.get_filename().exists() {
            return Err(StoreError::NoDatabase(options.get_filename().to_owned()));
        }
        let path = options.get_filename().to_owned();
        let sqlite = Self::connect(options);
        let needed = migrations::newest(&migrator());
        let found = sqlite.schema_version().await.map_err(StoreError::database("read the schema version"))?;
        if found == 0 {
            let taken = sqlite.names_taken().await.map_err(StoreError::database("list its tables"))?;
            if !taken.is_empty() {
                let database = path.display().to_string();
                return Err(StoreError::Obstructed {
                    database,
                    obstacle: Obstacle::NamesTaken { tables: taken },
                });
            }
        }
        if found < needed {
            return Err(StoreError::OldSchema { found, needed });
        }
        Ok(sqlite)
    }

    fn connect(options: SqliteConnectOptions) -> Self {
        let read_only = options.clone().pragma("query_only", "ON");
        Self {
            writer: pool(1).connect_lazy_with(options.busy_timeout(WRITER_BUSY_TIMEOUT)),
            write_queue: Arc::default(),
            readers: pool(READERS_MAX).connect_lazy_with(read_only),
            read_max: None,
        }
    }

    /// Tables of another application with the names of our tables.
    async fn names_taken(&self) -> sqlx::Result<Vec<String>> {
        let names = sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name");
        let names: Vec<String> = names.fetch_all(&self.readers).await?;
        let is_ours = |name: &String| schema::table_names().any(|ours| ours == name);
        Ok(names.into_iter().filter(is_ours).collect())
    }

    /// 0 if the file has no Landfall tables.
    pub(crate) async fn schema_version(&self) -> sqlx::Result<i64> {
        let mut connection = self.readers.acquire().await?;
        if has_table(&mut connection, migrations::TABLE).await? {
            let version = "SELECT coalesce(max(version), 0) FROM landfall_migrations WHERE success";
            return sqlx::query_scalar(version).fetch_one(&mut *connection).await;
        }
        if !has_table(&mut connection, LEGACY_TABLE).await? {
            return Ok(0);
        }
        let rows = sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success");
        Ok(migrations::newest_of_ours(&migrator(), &rows.fetch_all(&mut *connection).await?))
    }

    pub(crate) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// A connection for one read. SQLite itself ends a read that takes too long: dropping its future would not.
    pub(crate) async fn reader(&self) -> sqlx::Result<PoolConnection<sqlx::Sqlite>> {
        let mut reader = self.readers.acquire().await?;
        if let Some(read_max) = self.read_max {
            let until = Instant::now() + read_max;
            let mut handle = reader.lock_handle().await?;
            handle.set_progress_handler(STEPS_PER_LOOK, move || Instant::now() < until);
        }
        Ok(reader)
    }

    pub(crate) async fn begin(&self) -> sqlx::Result<WriteTransaction> {
        let _permit = tokio::time::timeout(ACQUIRE_TIMEOUT, self.write_queue.lock())
            .await
            .map_err(|_elapsed| sqlx::Error::PoolTimedOut)?;
        let started = Instant::now();
        loop {
            match self.writer.begin_with("BEGIN IMMEDIATE").await {
                Err(error) if error::is_sqlite_busy(&error) && started.elapsed() < BUSY_TIMEOUT => {
                    tokio::time::sleep(WRITER_PAUSE_MAX.mul_f64(fastrand::f64())).await;
                }
                // SQLite rolled the transaction back itself (disk full), and the connection still counts it as open
                // (test:a_disk_that_fills_up_in_the_middle_of_a_batch_costs_no_row_and_no_byte).
                Err(sqlx::Error::InvalidSavePointStatement) if started.elapsed() < BUSY_TIMEOUT => {
                    self.writer.acquire().await?.close().await?;
                }
                ended => return ended,
            }
        }
    }

    /// Prepares for many large writes, so that other processes need not copy their pages to the database.
    pub(crate) async fn copy_own_pages(&self) -> sqlx::Result<()> {
        sqlx::query(PAGES_OF_DELETIONS).execute(&self.writer).await.map(drop)
    }

    /// The folder of the database file.
    pub(crate) fn folder(&self) -> PathBuf {
        let options = self.writer.connect_options();
        options.get_filename().parent().unwrap_or(Path::new("")).to_owned()
    }

    pub(crate) async fn ping(&self) -> sqlx::Result<()> {
        sqlx::query("SELECT 1 FROM events LIMIT 1").execute(&self.readers).await.map(drop)
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn pool(connections_max: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// The folder of the database file, which may not exist yet.
pub(crate) fn folder(url: &str) -> Result<PathBuf, StoreError> {
    Ok(options(url)?.get_filename().parent().unwrap_or(Path::new("")).to_owned())
}

fn options(url: &str) -> Result<SqliteConnectOptions, StoreError> {
    let refuse = |problem: String| Err(StoreError::Setting { setting: "DATABASE_URL", problem });
    if url.contains(":memory:") || url.contains("mode=memory") {
        return refuse(
            "names an in-memory database, which would be lost when the worker exits: write sqlite:// and a path"
                .into(),
        );
    }
    match SqliteConnectOptions::from_str(url) {
        Ok(options) if options.get_filename().as_os_str().is_empty() => {
            refuse("has no file path: write sqlite:// and a path, such as sqlite://data/landfall.db".into())
        }
        Ok(options) => Ok(options
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .pragma("journal_size_limit", WAL_BYTES_MAX)
            .disable_statement_logging()),
        Err(error) => refuse(format!("is not valid: {error}")),
    }
}

pub(crate) fn migrator() -> Migrator {
    migrations::prepared(sqlx::migrate!("migrations/sqlite"))
}

async fn has_table(connection: &mut SqliteConnection, name: &str) -> sqlx::Result<bool> {
    let ask = "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = $1";
    sqlx::query_scalar(ask).bind(name).fetch_one(connection).await
}

/// Runs all migrations in one transaction that holds the write lock: the first worker migrates, the others wait for it.
async fn migrate(options: &SqliteConnectOptions) -> Result<(), MigrateError> {
    let migrator = migrator();
    let mut connection = options.connect().await?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let steps: &mut SqliteConnection = &mut transaction;
    steps.ensure_migrations_table(migrations::TABLE).await?;
    if has_table(steps, LEGACY_TABLE).await? {
        for ours in migrator.iter() {
            let adopt = sqlx::query(migrations::ADOPT).bind(ours.version).bind(&*ours.checksum);
            adopt.execute(&mut *steps).await?;
        }
    }
    migrator.run_direct(None, steps, false).await?;
    transaction.commit().await?;
    Ok(connection.close().await?)
}

fn is_busy(error: &MigrateError) -> bool {
    let (MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)) = error else {
        return false;
    };
    error::is_sqlite_busy(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_file_is_refused() {
        for url in ["sqlite::memory:", "sqlite://"] {
            let problem = options(url).unwrap_err().to_string();
            assert!(problem.starts_with("DATABASE_URL") && problem.contains("sqlite://"), "{url}: {problem}");
        }
        assert_eq!(options("sqlite://data/x.db").unwrap().get_filename().to_str(), Some("data/x.db"));
        assert_eq!(options("sqlite:///srv/x.db").unwrap().get_filename().to_str(), Some("/srv/x.db"));
    }

    #[tokio::test]
    async fn every_connection_writes_to_disk_before_it_answers() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = Sqlite::open(&format!("sqlite://{}/x.db", folder.path().display())).await.unwrap();
        let ask = async |pragma: &'static str| {
            sqlx::query_scalar::<_, String>(pragma).fetch_one(&sqlite.writer).await.unwrap()
        };
        assert_eq!(ask("SELECT CAST(synchronous AS TEXT) FROM pragma_synchronous").await, "2", "FULL");
        assert_eq!(ask("SELECT journal_mode FROM pragma_journal_mode").await, "wal");
        assert_eq!(ask("SELECT CAST(foreign_keys AS TEXT) FROM pragma_foreign_keys").await, "1");
        let write = "INSERT INTO files VALUES ('p', 'f', 'o', NULL, NULL, 0, '', '', NULL, NULL)";
        assert!(sqlx::query(write).execute(&sqlite.readers).await.is_err(), "readers are read-only");
    }
}
