//! The PostgreSQL dialect: turns a `DATABASE_URL` into a connection pool with an up-to-date schema. The submodules hold
//! what only PostgreSQL needs: COPY, migrations under a lock, and the commit watermark of `events`.

pub(crate) mod batch_rows;
pub(crate) mod bind;
mod commit_watermark;
pub(crate) mod migrate;
mod obstacles;
pub(crate) mod pool;
mod server;

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection};

use crate::error::StoreError;
use crate::migrations;
use crate::read_limits::ReadLimits;
use pool::Postgres;
use server::named;

/// If the first connection takes longer, the start fails with the cause.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The parameter in `DATABASE_URL` that announces a pooler in transaction mode, where each transaction may use another
/// server connection.
const THROUGH_POOLER: (&str, &str) = ("statement-cache-capacity", "0");

pub(crate) async fn open(url: &str) -> Result<Postgres, StoreError> {
    let (options, through_pooler) = options(url)?;
    let mut connection = connect(&options).await?;
    // Migrates only when needed: a role that may write rows but not create tables is enough for a worker.
    let version = migrate::schema_version(&mut connection).await.map_err(version_unread)?;
    if version == 0 {
        obstructed(&mut connection, &options).await?;
    }
    if version < migrations::newest(&migrate::migrator()) {
        if !through_pooler {
            // Building an index on a large table takes long.
            connection.execute("SET statement_timeout = 0").await.map_err(version_unread)?;
        }
        migrate::migrate(&mut connection, &options).await.map_err(StoreError::Migrate)?;
    }
    connection.close().await.ok();
    Ok(Postgres::new(options, through_pooler))
}

pub(crate) async fn open_existing(url: &str) -> Result<Postgres, StoreError> {
    let (options, through_pooler) = existing(url).await?;
    Ok(Postgres::new(options, through_pooler))
}

pub(crate) async fn open_for_reading(url: &str, limits: ReadLimits) -> Result<Postgres, StoreError> {
    let (options, through_pooler) = existing(url).await?;
    Ok(Postgres::for_reading(options, through_pooler, limits))
}

/// How to connect to a database whose schema is up to date.
async fn existing(url: &str) -> Result<(PgConnectOptions, bool), StoreError> {
    let (options, through_pooler) = options(url)?;
    let mut connection = connect(&options).await?;
    let found = migrate::schema_version(&mut connection).await.map_err(version_unread)?;
    if found == 0 {
        obstructed(&mut connection, &options).await?;
    }
    connection.close().await.ok();
    match (found, migrations::newest(&migrate::migrator())) {
        (0, _) => Err(StoreError::NoTables(named(&options))),
        (found, needed) if found < needed => Err(StoreError::OldSchema { found, needed }),
        _ => Ok((options, through_pooler)),
    }
}

/// Fails if the tables cannot be created.
async fn obstructed(connection: &mut PgConnection, options: &PgConnectOptions) -> Result<(), StoreError> {
    let Some(obstacle) = obstacles::find(connection).await.map_err(version_unread)? else { return Ok(()) };
    // Another worker may have created the tables in the meantime.
    match migrate::schema_version(connection).await.map_err(version_unread)? {
        0 => Err(StoreError::Obstructed { database: named(options), obstacle }),
        _ => Ok(()),
    }
}

/// The connect options, and whether they go through a pooler.
fn options(url: &str) -> Result<(PgConnectOptions, bool), StoreError> {
    let refuse = |problem: String| Err(StoreError::Setting { setting: "DATABASE_URL", problem });
    match PgConnectOptions::from_str(url) {
        Ok(options) if options.get_database().is_none() => {
            refuse("has no database name: write postgres://USER:PASSWORD@HOST/DATABASE".to_owned())
        }
        Ok(options) => {
            let name = options.get_application_name().unwrap_or("landfall").to_owned();
            let options = options.application_name(&name).disable_statement_logging();
            // sqlx would resolve an IPv6 address together with the brackets of the URL.
            let host = options.get_host().strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            let host = host.unwrap_or(options.get_host()).to_owned();
            let options = options.host(&host);
            let parsed = url::Url::parse(url).ok();
            let through_pooler = parsed.is_some_and(|url| {
                url.query_pairs().any(|(name, value)| (name.as_ref(), value.as_ref()) == THROUGH_POOLER)
            });
            if through_pooler {
                // Poolers reject this startup parameter. It only affects numbers in text format; ours are binary.
                return Ok((options.extra_float_digits(None), true));
            }
            Ok((options, false))
        }
        Err(error) => refuse(format!(
            "is not valid ({}): write postgres://USER:PASSWORD@HOST/DATABASE, with special characters \
             percent-encoded (@ is %40)",
            std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
        )),
    }
}

/// Opens one connection outside the pool, so that a failure has a precise cause.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await;
    let silent = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    let refused = |source| StoreError::Connect { database: named(options), source };
    let mut connection = connected.unwrap_or_else(silent).map_err(refused)?;
    server::check(&mut connection, options).await?;
    Ok(connection)
}

fn version_unread(source: sqlx::Error) -> StoreError {
    StoreError::database("read the schema version")(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_url_is_refused_without_showing_a_password() {
        for url in [
            "postgres://me:hunter2@db:99999/x",
            "postgres://me:hunter2@db/x?sslmode=hunter3",
            "postgres://me:hunter2@db/x?port=y",
        ] {
            let problem = options(url).unwrap_err().to_string();
            assert!(problem.starts_with("DATABASE_URL") && problem.contains("postgres://"), "{problem}");
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn a_database_is_named_without_its_password() {
        let name = |url| named(&options(url).unwrap().0);
        assert_eq!(name("postgres://me:hunter2@db.example/x"), "x on db.example");
        assert_eq!(name("postgresql://me:hunter2@localhost/x?host=/run/pg"), "x on /run/pg");
    }
}
