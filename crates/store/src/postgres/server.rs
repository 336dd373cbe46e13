//! Checks that the server can hold our data, and reports its settings to the operator.

use sqlx::postgres::PgConnectOptions;
use sqlx::{PgConnection, Row as _, raw_sql};

use crate::error::StoreError;
use crate::postgres::pool::Postgres;
use crate::server::DatabaseServer;

/// PostgreSQL 13 has the `jsonb` paths, hash functions and identity columns that we use, and is the oldest version in
/// Debian.
const VERSION_MIN: i32 = 130_000;

pub(super) async fn check(
    connection: &mut PgConnection,
    options: &PgConnectOptions,
) -> Result<(), StoreError> {
    let ask = "SELECT current_setting('server_version_num')::int4 AS number, \
               current_setting('server_version') AS version, current_setting('server_encoding') AS encoding";
    let refused = |source| StoreError::Connect { database: named(options), source };
    let row = raw_sql(ask).fetch_one(connection).await.map_err(refused)?;
    let setting = |problem: String| StoreError::Setting { setting: "DATABASE_URL", problem };
    if row.try_get::<i32, _>("number").map_err(refused)? < VERSION_MIN {
        let version: String = row.try_get("version").map_err(refused)?;
        return Err(setting(format!("names a PostgreSQL {version} server: use version 13 or newer")));
    }
    let encoding: String = row.try_get("encoding").map_err(refused)?;
    if encoding != "UTF8" {
        return Err(setting(format!(
            "names a database with encoding {encoding}: create one with CREATE DATABASE … ENCODING 'UTF8' \
             TEMPLATE template0"
        )));
    }
    Ok(())
}

/// The database and its host, without the password.
pub(super) fn named(options: &PgConnectOptions) -> String {
    let host = options.get_socket().map_or(options.get_host().into(), |path| path.to_string_lossy());
    format!("{} on {host}", options.get_database().unwrap_or(options.get_username()))
}

impl Postgres {
    pub(crate) async fn server(&self) -> sqlx::Result<DatabaseServer> {
        let row = raw_sql(
            "SELECT current_setting('server_version') AS version, \
             coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), FALSE) AS encrypted, \
             coalesce(inet_client_addr() <<= '127.0.0.0/8' OR inet_client_addr() <<= '::1/128', TRUE) AS local, \
             current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on' AS durable, \
             pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS read_only, \
             has_table_privilege('events', 'INSERT') AND has_table_privilege('events', 'UPDATE') \
                 AND has_table_privilege('batch_results', 'INSERT') AS may_write, \
             current_setting('max_connections')::bigint \
                 - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS free",
        )
        .fetch_one(self.pool())
        .await?;
        Ok(DatabaseServer {
            version: row.try_get("version")?,
            encrypted: row.try_get("encrypted")?,
            local: row.try_get("local")?,
            durable: row.try_get("durable")?,
            writable: !row.try_get::<bool, _>("read_only")? && row.try_get::<bool, _>("may_write")?,
            connections_free: row.try_get("free")?,
        })
    }
}
