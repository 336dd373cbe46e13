//! Migrates the schema while workers run. Works through a pooler, too: statements are unnamed, and every lock ends with
//! its transaction.
//!
//! Migrations run in one transaction, up to one that builds indexes `CONCURRENTLY` and therefore cannot run in a
//! transaction. That migration runs statement by statement, under a lock that another connection holds. No worker waits
//! for that lock inside a statement: an index build waits for every statement that started before it, so the two would
//! deadlock.

use std::time::Duration;

use sqlx::migrate::{Migrate as _, MigrateError, Migration, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection, Row as _, query,
    raw_sql,
};

use crate::migrations::{self, TABLE};

/// An arbitrary key of the advisory lock; its holder migrates.
const MIGRATION_LOCK: i64 = 0x6c61_6e64_6661_6c6c;
/// The holder of this lock builds indexes.
const BUILD_LOCK: i64 = MIGRATION_LOCK + 1;
const POLL_EVERY: Duration = Duration::from_millis(100);

const RECORD: &str = "INSERT INTO landfall_migrations (version, description, success, checksum, execution_time) \
                      VALUES ($1, $2, TRUE, $3, -1)";

pub(crate) fn migrator() -> Migrator {
    migrations::prepared(sqlx::migrate!("migrations/postgres"))
}

/// 0 if the database has no Landfall tables.
pub(super) async fn schema_version(connection: &mut PgConnection) -> sqlx::Result<i64> {
    let tables = "SELECT to_regclass('landfall_migrations') IS NOT NULL AS is_there";
    if raw_sql(tables).fetch_one(&mut *connection).await?.try_get("is_there")? {
        let version = "SELECT coalesce(max(version), 0) FROM landfall_migrations WHERE success";
        return raw_sql(version).fetch_one(connection).await?.try_get(0);
    }
    if !has_legacy_table(connection).await? {
        return Ok(0);
    }
    let rows = raw_sql("SELECT version, checksum FROM _sqlx_migrations WHERE success").fetch_all(connection);
    Ok(migrations::newest_of_ours(&migrator(), &versions(&rows.await?)?))
}

/// A table that this role may not read is not ours.
async fn has_legacy_table(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let ask = "SELECT coalesce(has_table_privilege(to_regclass('_sqlx_migrations'), 'SELECT'), FALSE)";
    raw_sql(ask).fetch_one(connection).await?.try_get(0)
}

fn versions(rows: &[sqlx::postgres::PgRow]) -> sqlx::Result<Vec<(i64, Vec<u8>)>> {
    rows.iter().map(|row| Ok((row.try_get("version")?, row.try_get("checksum")?))).collect()
}

/// The first worker migrates; the others wait for it and find nothing to do.
pub(super) async fn migrate(
    connection: &mut PgConnection,
    options: &PgConnectOptions,
) -> Result<(), MigrateError> {
    let migrator = migrator();
    while let Some(alone) = apply_together(connection, &migrator).await? {
        apply_alone(connection, options, alone).await?;
    }
    Ok(())
}

/// Applies pending migrations in one transaction. Returns the first one that must run outside a transaction, if any.
async fn apply_together<'m>(
    connection: &mut PgConnection,
    migrator: &'m Migrator,
) -> Result<Option<&'m Migration>, MigrateError> {
    let mut transaction = connection.begin().await?;
    transaction.execute(AssertSqlSafe(format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))).await?;
    // If another session has locked a table, do not block every statement that queues behind ours.
    transaction.execute("SET LOCAL lock_timeout = '30s'").await?;
    transaction.ensure_migrations_table(TABLE).await?;
    if has_legacy_table(&mut transaction).await? {
        for ours in migrator.iter() {
            let adopt = query(migrations::ADOPT).persistent(false).bind(ours.version).bind(&*ours.checksum);
            adopt.execute(&mut *transaction).await?;
        }
    }
    let rows = raw_sql("SELECT version, checksum FROM landfall_migrations WHERE success");
    let applied = versions(&rows.fetch_all(&mut *transaction).await?)?;
    let mut alone = None;
    for migration in migrator.iter() {
        match applied.iter().find(|(version, _)| *version == migration.version) {
            Some((_, checksum)) if **checksum == *migration.checksum => {}
            Some(_) => return Err(MigrateError::VersionMismatch(migration.version)),
            None if migration.no_tx => {
                alone = Some(migration);
                break;
            }
            None => {
                let failed = |source| MigrateError::ExecuteMigration(source, migration.version);
                transaction.execute(migration.sql.clone()).await.map_err(failed)?;
                record(&mut transaction, migration).await?;
            }
        }
    }
    transaction.commit().await?;
    Ok(alone)
}

async fn record(connection: &mut PgConnection, migration: &Migration) -> sqlx::Result<()> {
    query(RECORD)
        .persistent(false)
        .bind(migration.version)
        .bind(&*migration.description)
        .bind(&*migration.checksum)
        .execute(connection)
        .await
        .map(drop)
}

/// Applies a migration that builds indexes: each statement is its own transaction.
async fn apply_alone(
    connection: &mut PgConnection,
    options: &PgConnectOptions,
    migration: &Migration,
) -> Result<(), MigrateError> {
    let mut holder = options.connect().await?;
    let lock = loop {
        let mut lock = holder.begin().await?;
        // This transaction is idle while the indexes are built.
        lock.execute("SET LOCAL idle_in_transaction_session_timeout = 0").await?;
        let ask = AssertSqlSafe(format!("SELECT pg_try_advisory_xact_lock({BUILD_LOCK})"));
        let is_held = raw_sql(ask).fetch_one(&mut *lock).await?.try_get(0)?;
        // Queries on this connection: behind a pooler, a waiting worker must not hold one connection while it asks for
        // another.
        if is_applied(&mut lock, migration).await? {
            return Ok(());
        }
        if is_held {
            break lock;
        }
        lock.rollback().await?;
        tokio::time::sleep(POLL_EVERY).await;
    };
    tracing::info!(
        schema.version = migration.version,
        "building indexes; workers of the previous version keep running"
    );
    drop_invalid_indexes(connection, migration).await?;
    for statement in statements(migration.sql.as_str()) {
        let failed = |source| MigrateError::ExecuteMigration(source, migration.version);
        connection.execute(AssertSqlSafe(statement)).await.map_err(failed)?;
    }
    let mut transaction = connection.begin().await?;
    record(&mut transaction, migration).await?;
    transaction.commit().await?;
    lock.rollback().await?;
    holder.close().await.ok();
    Ok(())
}

async fn is_applied(connection: &mut PgConnection, migration: &Migration) -> sqlx::Result<bool> {
    let version = migration.version;
    let ask = format!("SELECT count(*) > 0 FROM landfall_migrations WHERE success AND version = {version}");
    raw_sql(AssertSqlSafe(ask)).fetch_one(connection).await?.try_get(0)
}

/// A failed build leaves an invalid index that is never used but occupies the name.
async fn drop_invalid_indexes(connection: &mut PgConnection, migration: &Migration) -> sqlx::Result<()> {
    let ask = "SELECT relname::text FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid \
               WHERE NOT indisvalid AND pg_table_is_visible(pg_class.oid)";
    for row in raw_sql(ask).fetch_all(&mut *connection).await? {
        let index: String = row.try_get(0)?;
        if migration.sql.as_str().split_whitespace().any(|word| word == index) {
            let drop = format!("DROP INDEX CONCURRENTLY IF EXISTS {index}");
            connection.execute(AssertSqlSafe(drop)).await?;
        }
    }
    Ok(())
}

/// Splits a migration into statements, without comment lines. No string literal in them contains a semicolon.
fn statements(sql: &str) -> Vec<String> {
    let lines: Vec<&str> = sql.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let sql = lines.join("\n");
    sql.split(';').map(str::trim).filter(|statement| !statement.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_outside_a_transaction_can_be_rerun() {
        for migration in migrator().iter().filter(|migration| migration.no_tx) {
            for statement in statements(migration.sql.as_str()) {
                let is_repeatable = statement.starts_with("CREATE INDEX CONCURRENTLY IF NOT EXISTS ")
                    || statement.starts_with("DROP INDEX CONCURRENTLY IF EXISTS ");
                assert!(is_repeatable, "{}: {statement}", migration.version);
            }
        }
    }
}
