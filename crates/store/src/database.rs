//! One interface to both dialects: an enum of databases and an enum of transactions. Dialect-specific code is here, in
//! `sqlite.rs` and in `postgres.rs`; all other SQL is in `tables.rs` and the same for both.

use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use sqlx::{AssertSqlSafe, SqlSafeStr};

use crate::batch::ResultValues;
use crate::error::StoreError;
use crate::postgres;
use crate::postgres::pool::{self, Postgres};
use crate::read_limits::ReadLimits;
use crate::row::Row;
use crate::sqlite::{self, Sqlite};
use crate::value::Value;

/// Connections to a database of either dialect. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// Commits all of its writes or, when dropped, none. Rows it has locked cannot change before it ends.
pub(crate) enum WriteTransaction {
    Sqlite(sqlite::WriteTransaction),
    Postgres(pool::WriteTransaction),
}

/// The dialect that a `DATABASE_URL` selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    pub(crate) fn of(url: &str) -> Result<Self, StoreError> {
        match url.split_once(':').map_or("", |(scheme, _)| scheme) {
            "sqlite" => Ok(Self::Sqlite),
            "postgres" | "postgresql" => Ok(Self::Postgres),
            // Not quoted: the rest of the URL may contain a password.
            _ => Err(StoreError::Setting {
                setting: "DATABASE_URL",
                problem: "is not a database URL: write sqlite:// and a path, such as sqlite://data/landfall.db, or \
                          postgres://USER:PASSWORD@HOST/DATABASE"
                    .to_owned(),
            }),
        }
    }
}

impl Database {
    /// Creates the database if it is missing, and migrates the schema.
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        Ok(match Dialect::of(url)? {
            Dialect::Sqlite => Self::Sqlite(Sqlite::open(url).await?),
            Dialect::Postgres => Self::Postgres(postgres::open(url).await?),
        })
    }

    /// Connects to an existing database. Changes nothing.
    pub(crate) async fn open_existing(url: &str) -> Result<Self, StoreError> {
        Ok(match Dialect::of(url)? {
            Dialect::Sqlite => Self::Sqlite(Sqlite::open_existing(url).await?),
            Dialect::Postgres => Self::Postgres(postgres::open_existing(url).await?),
        })
    }

    /// Connects to an existing database, for reads within these limits.
    pub(crate) async fn open_for_reading(url: &str, limits: ReadLimits) -> Result<Self, StoreError> {
        Ok(match Dialect::of(url)? {
            Dialect::Sqlite => Self::Sqlite(Sqlite::open_for_reading(url, limits).await?),
            Dialect::Postgres => Self::Postgres(postgres::open_for_reading(url, limits).await?),
        })
    }

    pub(crate) async fn schema_version(&self) -> Result<i64, StoreError> {
        let version = match self {
            Self::Sqlite(sqlite) => sqlite.schema_version().await,
            Self::Postgres(postgres) => postgres.schema_version().await,
        };
        version.map_err(StoreError::database("read the schema version"))
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.close().await,
            Self::Postgres(postgres) => postgres.pool().close().await,
        }
    }

    pub(crate) async fn begin(&self) -> sqlx::Result<WriteTransaction> {
        Ok(match self {
            Self::Sqlite(sqlite) => WriteTransaction::Sqlite(sqlite.begin().await?),
            Self::Postgres(postgres) => WriteTransaction::Postgres(postgres.begin().await?),
        })
    }

    /// Prepares for deleting many rows beside the writes of workers.
    pub(crate) async fn prepare_deletions(&self) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(sqlite) => sqlite.copy_own_pages().await,
            Self::Postgres(_) => Ok(()),
        }
    }

    /// A consistent view of all rows as of now, for reads of any length.
    pub(crate) async fn snapshot(&self) -> sqlx::Result<Snapshot> {
        Ok(Snapshot(match self {
            Self::Sqlite(sqlite) => WriteTransaction::Sqlite(sqlite.readers().begin().await?),
            Self::Postgres(postgres) => WriteTransaction::Postgres(postgres.begin_snapshot().await?),
        }))
    }

    async fn fetch_all(&self, sql: impl SqlSafeStr, values: &[Value<'_>]) -> sqlx::Result<Vec<Row>> {
        match self {
            Self::Sqlite(sqlite) => {
                let mut reader = sqlite.reader().await?;
                let rows = sqlite::bind::bound(sql, values).fetch_all(&mut *reader).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            // Behind a pooler, outside a transaction, a statement may be prepared on one server connection and run on
            // another; and there a time limit is one of the transaction.
            Self::Postgres(postgres) if postgres.reads_in_transactions() => {
                let mut transaction = self.begin().await?;
                let rows = transaction.fetch_all(sql, values).await?;
                transaction.commit().await?;
                Ok(rows)
            }
            Self::Postgres(postgres) => {
                let rows = postgres::bind::bound(sql, values).fetch_all(postgres.pool()).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// Runs the steps in one transaction. `doing` completes the error message "could not …".
    pub(crate) async fn write<T>(
        &self,
        doing: &'static str,
        steps: impl AsyncFnOnce(&mut WriteTransaction) -> sqlx::Result<T>,
    ) -> Result<T, StoreError> {
        // Boxed: a transaction's future is large, and would make that of every caller as large.
        let written = Box::pin(async {
            let mut transaction = self.begin().await?;
            let value = steps(&mut transaction).await?;
            transaction.commit().await?;
            Ok(value)
        });
        written.await.map_err(StoreError::database(doing))
    }

    /// Runs a query and converts each row with `read`.
    pub(crate) async fn read<T>(
        &self,
        doing: &'static str,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
        read: impl Fn(&Row) -> sqlx::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        // Boxed as in `write`: thousands of the console's requests hold such a future while they wait.
        let rows = Box::pin(self.fetch_all(sql, values)).await;
        let rows = rows.and_then(|rows| rows.iter().map(read).collect());
        rows.map_err(StoreError::database(doing))
    }

    /// Like [`Database::read`], for a query that returns exactly one row.
    pub(crate) async fn read_one<T>(
        &self,
        doing: &'static str,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
        read: impl Fn(&Row) -> sqlx::Result<T>,
    ) -> Result<T, StoreError> {
        let found = self.read(doing, sql, values, read).await?.pop();
        found.ok_or_else(|| StoreError::database(doing)(sqlx::Error::RowNotFound))
    }

    /// How many chunks of a batch's file to write concurrently. On two cores, with lines of 1 and 4 KB, importing into
    /// PostgreSQL one chunk at a time takes 1.2 and 1.45 times as long.
    pub(crate) fn import_concurrency(&self) -> usize {
        match self {
            Self::Sqlite(_) => 1,
            Self::Postgres(_) => 2,
        }
    }
}

/// A read transaction that sees one consistent snapshot.
pub(crate) struct Snapshot(WriteTransaction);

impl Snapshot {
    /// Streams the rows.
    pub(crate) fn rows(&mut self, select: String) -> BoxStream<'_, sqlx::Result<Row>> {
        let select = AssertSqlSafe(select);
        match &mut self.0 {
            WriteTransaction::Sqlite(transaction) => {
                sqlx::query(select).fetch(&mut **transaction).map_ok(Row::Sqlite).boxed()
            }
            WriteTransaction::Postgres(postgres) => {
                let query = sqlx::query(select).persistent(postgres.names_statements);
                query.fetch(&mut *postgres.transaction).map_ok(Row::Postgres).boxed()
            }
        }
    }
}

impl WriteTransaction {
    /// Returns the number of rows changed.
    pub(crate) async fn execute(&mut self, sql: impl SqlSafeStr, values: &[Value<'_>]) -> sqlx::Result<u64> {
        Ok(match self {
            Self::Sqlite(transaction) => {
                sqlite::bind::bound(sql, values).execute(&mut **transaction).await?.rows_affected()
            }
            Self::Postgres(postgres) => {
                let query = postgres::bind::bound(sql, values).persistent(postgres.names_statements);
                query.execute(&mut *postgres.transaction).await?.rows_affected()
            }
        })
    }

    /// Runs a statement that returns rows: a query, or a change with `RETURNING`.
    pub(crate) async fn fetch_all(
        &mut self,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
    ) -> sqlx::Result<Vec<Row>> {
        Ok(match self {
            Self::Sqlite(transaction) => {
                let rows = sqlite::bind::bound(sql, values).fetch_all(&mut **transaction).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(postgres) => {
                let query = postgres::bind::bound(sql, values).persistent(postgres.names_statements);
                let rows = query.fetch_all(&mut *postgres.transaction).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// For statements that return at most one row.
    pub(crate) async fn fetch_optional(
        &mut self,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
    ) -> sqlx::Result<Option<Row>> {
        Ok(self.fetch_all(sql, values).await?.pop())
    }

    pub(crate) async fn fetch_one(
        &mut self,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
    ) -> sqlx::Result<Row> {
        self.fetch_optional(sql, values).await?.ok_or(sqlx::Error::RowNotFound)
    }

    /// Reads a row and locks it against other transactions until this one ends. SQLite needs no row lock: it has one
    /// writer at a time.
    pub(crate) async fn lock_row(
        &mut self,
        select: impl SqlSafeStr,
        values: &[Value<'_>],
    ) -> sqlx::Result<Option<Row>> {
        match self {
            Self::Sqlite(_) => self.fetch_optional(select, values).await,
            Self::Postgres(_) => {
                let select = AssertSqlSafe(format!("{} FOR UPDATE", select.into_sql_str().as_str()));
                self.fetch_optional(select, values).await
            }
        }
    }

    /// Locks a name against other transactions until this one ends: for rows that may not exist yet.
    pub(crate) async fn lock_name(&mut self, project: &str, id: &str) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(_) => {
                let name = format!("landfall {project} {id}");
                let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
                self.execute(lock, &[Value::text(&name)]).await.map(drop)
            }
        }
    }

    pub(crate) async fn add_batch_rows(&mut self, rows: &[ResultValues<'_>]) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(transaction) => sqlite::batch_rows::insert(transaction, rows).await,
            Self::Postgres(postgres) => postgres::batch_rows::copy(&mut postgres.transaction, rows).await,
        }
    }

    pub(crate) async fn rollback(self) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(transaction) => transaction.rollback().await,
            Self::Postgres(postgres) => postgres.transaction.rollback().await,
        }
    }

    pub(crate) async fn commit(self) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(postgres) => postgres.transaction.commit().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_url_is_refused_without_showing_a_password() {
        for url in ["", "data/landfall.db", "mysql://me:hunter2@db/x", "redis:hunter2"] {
            let problem = Dialect::of(url).unwrap_err().to_string();
            assert!(problem.starts_with("DATABASE_URL") && problem.contains("sqlite://"), "{url}: {problem}");
            assert!(!problem.contains("hunter2"));
        }
        assert_eq!(Dialect::of("postgresql://x/y").unwrap(), Dialect::Postgres);
    }
}
