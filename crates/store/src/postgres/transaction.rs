//! A transaction, and single reads, with statements that have names where the connection is ours alone, and none where a
//! pooler gives each transaction another connection of the server.

use futures_util::stream::BoxStream;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, SqlSafeStr, Transaction, query};

use super::{Postgres, bind};
use crate::value::Value;

/// What a worker that vanished keeps locked is free after this, and no writer waits longer for a row. What is committed
/// is on disk: a server that is set to answer earlier is overruled, one that is set to wait for replicas is not. All of
/// it ends with the transaction, because the next one on this connection of the server may be another application's.
const BEGIN_THROUGH_POOLER: &str = "
    BEGIN;
    SET LOCAL lock_timeout = '30s';
    SET LOCAL idle_in_transaction_session_timeout = '60s';
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';";
const BEGIN_SNAPSHOT: &str = "
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL lock_timeout = '30s';
    SET LOCAL idle_in_transaction_session_timeout = '60s';";

/// What it writes is there all at once, or not at all when it is dropped.
pub(crate) struct WriteTransaction {
    transaction: Transaction<'static, sqlx::Postgres>,
    names_statements: bool,
}

impl Postgres {
    pub(crate) async fn begin(&self) -> sqlx::Result<WriteTransaction> {
        let transaction = if self.through_pooler {
            self.pool.begin_with(BEGIN_THROUGH_POOLER).await?
        } else {
            self.pool.begin().await?
        };
        Ok(WriteTransaction { transaction, names_statements: !self.through_pooler })
    }

    /// Reads of one moment.
    pub(crate) async fn begin_snapshot(&self) -> sqlx::Result<WriteTransaction> {
        let transaction = self.pool.begin_with(BEGIN_SNAPSHOT).await?;
        Ok(WriteTransaction { transaction, names_statements: !self.through_pooler })
    }

    pub(crate) async fn fetch_all(
        &self,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
    ) -> sqlx::Result<Vec<PgRow>> {
        if !self.through_pooler {
            return bind::bound(sql, values).fetch_all(&self.pool).await;
        }
        // Outside of a transaction a statement may be prepared in one connection of the server and run in another.
        let mut transaction = self.begin().await?;
        let rows = transaction.fetch_all(sql, values).await?;
        transaction.commit().await?;
        Ok(rows)
    }

    pub(crate) async fn fetch_optional(
        &self,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
    ) -> sqlx::Result<Option<PgRow>> {
        if !self.through_pooler {
            return bind::bound(sql, values).fetch_optional(&self.pool).await;
        }
        let mut transaction = self.begin().await?;
        let row = transaction.fetch_optional(sql, values).await?;
        transaction.commit().await?;
        Ok(row)
    }
}

impl WriteTransaction {
    /// How many rows were changed.
    pub(crate) async fn execute(&mut self, sql: impl SqlSafeStr, values: &[Value<'_>]) -> sqlx::Result<u64> {
        let query = bind::bound(sql, values).persistent(self.names_statements);
        Ok(query.execute(&mut *self.transaction).await?.rows_affected())
    }

    pub(crate) async fn fetch_all(
        &mut self,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
    ) -> sqlx::Result<Vec<PgRow>> {
        bind::bound(sql, values).persistent(self.names_statements).fetch_all(&mut *self.transaction).await
    }

    pub(crate) async fn fetch_optional(
        &mut self,
        sql: impl SqlSafeStr,
        values: &[Value<'_>],
    ) -> sqlx::Result<Option<PgRow>> {
        bind::bound(sql, values)
            .persistent(self.names_statements)
            .fetch_optional(&mut *self.transaction)
            .await
    }

    /// A row at a time.
    pub(crate) fn rows(&mut self, select: AssertSqlSafe<String>) -> BoxStream<'_, sqlx::Result<PgRow>> {
        query(select).persistent(self.names_statements).fetch(&mut *self.transaction)
    }

    /// For COPY, which has no statement.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    pub(crate) async fn commit(self) -> sqlx::Result<()> {
        self.transaction.commit().await
    }

    pub(crate) async fn rollback(self) -> sqlx::Result<()> {
        self.transaction.rollback().await
    }
}
