//! Errors of the store, and whether a retry can help.

use std::path::PathBuf;

use sqlx::error::DatabaseError as _;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;
use webhook::Reason;

use crate::obstacle::Obstacle;

/// Why a call to the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{setting} {problem}")]
    Setting {
        /// `DATABASE_URL` or `FILES_URL`.
        setting: &'static str,
        problem: String,
    },
    #[error("cannot use the folder {} of {setting}", path.display())]
    Folder {
        setting: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("there is no database at {}: start a worker, which creates it", .0.display())]
    NoDatabase(PathBuf),
    #[error("the PostgreSQL database {0} has no Landfall tables yet: start a worker, which creates them")]
    NoTables(String),
    #[error("could not connect to the PostgreSQL database {database}")]
    Connect {
        /// Its name and host.
        database: String,
        #[source]
        source: sqlx::Error,
    },
    #[error(
        "the database has schema version {found}, this program needs {needed}: run `landfall migrate`, \
         or start a worker of this version"
    )]
    OldSchema { found: i64, needed: i64 },
    #[error("cannot create Landfall's tables in the database {database}: {obstacle}")]
    Obstructed { database: String, obstacle: Obstacle },
    #[error("could not migrate the database schema")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    #[error("database error: could not {doing}")]
    Database {
        doing: &'static str,
        #[source]
        source: sqlx::Error,
    },
    #[error("could not {doing} {location}")]
    Files {
        doing: &'static str,
        location: String,
        #[source]
        source: object_store::Error,
    },
    /// Another worker restarted the batch, or it does not exist: begin it again.
    #[error("batch {batch_id} is at line {next_line:?}, not at line {first_line}")]
    OutOfStep {
        batch_id: String,
        /// `None` if the batch does not exist.
        next_line: Option<i64>,
        first_line: i64,
    },
}

/// Why a bucket cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketFault {
    Missing,
    /// The key is wrong or lacks permission.
    Refused,
    Unreachable,
}

/// `doing` of errors that occur while a file is read.
pub(crate) const READ: &str = "read the file";

impl StoreError {
    pub(crate) fn database(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { doing, source }
    }

    pub(crate) fn files(doing: &'static str, location: &str) -> impl FnOnce(object_store::Error) -> Self {
        let location = location.to_owned();
        move |source| Self::Files { doing, location, source }
    }

    /// Why a bucket cannot be written, as far as the error tells.
    pub fn bucket_fault(&self) -> Option<BucketFault> {
        let Self::Files { source, .. } = self else { return None };
        Some(match source {
            object_store::Error::NotFound { .. } => BucketFault::Missing,
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                BucketFault::Refused
            }
            _ => BucketFault::Unreachable,
        })
    }

    /// What to do about it, for errors whose message does not say so.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Connect { .. } => Some(
                "start the server, or correct the host, database, user and password in DATABASE_URL"
                    .to_owned(),
            ),
            Self::Obstructed { obstacle, .. } => Some(obstacle.hint()),
            Self::Setting { .. }
            | Self::Folder { .. }
            | Self::NoDatabase(_)
            | Self::NoTables(_)
            | Self::OldSchema { .. }
            | Self::Migrate(_)
            | Self::Database { .. }
            | Self::Files { .. }
            | Self::OutOfStep { .. } => None,
        }
    }

    /// Whether the same call can succeed later. It can after a full disk or a lost connection, but not for a value that
    /// no column accepts.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Setting { .. }
            | Self::NoDatabase(_)
            | Self::NoTables(_)
            | Self::OldSchema { .. }
            | Self::Obstructed { .. } => false,
            Self::Connect { source, .. } => is_about_the_server(source),
            Self::Folder { .. } | Self::Migrate(_) | Self::OutOfStep { .. } => true,
            Self::Database { source, .. } => !is_about_the_value(source),
            Self::Files { doing, source, .. } => match source {
                object_store::Error::InvalidPath { .. } => false,
                // A missing target of a write is the bucket itself, which can still be created.
                object_store::Error::NotFound { .. } => *doing != READ,
                _ => true,
            },
        }
    }

    /// Whether the database server is currently unreachable, so that a starting program should wait for it.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Connect { source, .. } if is_about_the_server(source))
    }

    /// Whether the database cancelled a read because it took longer than [`crate::ReadLimits::statement_time`].
    pub fn is_too_slow(&self) -> bool {
        let Self::Database { source, .. } = self else { return false };
        sqlite_code(source) == Some(SQLITE_INTERRUPT)
            || postgres_code(source) == Some(POSTGRES_QUERY_CANCELED)
    }

    /// The reason code for the event's row, the log and the metric.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Files { .. }
            | Self::Folder { setting: "FILES_URL", .. }
            | Self::Setting { setting: "FILES_URL", .. } => Reason::FilesUnavailable,
            Self::Database { source, .. } if is_about_the_value(source) => Reason::ValueRefused,
            Self::Setting { .. }
            | Self::Folder { .. }
            | Self::NoDatabase(_)
            | Self::NoTables(_)
            | Self::Connect { .. }
            | Self::OldSchema { .. }
            | Self::Obstructed { .. }
            | Self::Migrate(_)
            | Self::Database { .. }
            | Self::OutOfStep { .. } => Reason::DatabaseUnavailable,
        }
    }
}

/// SQLite's primary result codes that a retry of the same statement would return again:
/// <https://www.sqlite.org/rescode.html>.
const SQLITE_TOOBIG: u32 = 18;
const SQLITE_CONSTRAINT: u32 = 19;
const SQLITE_MISMATCH: u32 = 20;
/// Another process holds the lock, and the busy timeout has expired.
const SQLITE_BUSY: u32 = 5;

/// The progress handler ended the statement.
const SQLITE_INTERRUPT: u32 = 9;
const POSTGRES_QUERY_CANCELED: &str = "57014";

/// The same for PostgreSQL, by SQLSTATE class: data exception, integrity constraint violation, program limit exceeded.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
const POSTGRES_ABOUT_THE_VALUE: [&str; 3] = ["22", "23", "54"];
/// Temporary conditions: connection exception, insufficient resources, deadlock or serialization failure, lock not
/// available, operator intervention, system error, and read-only because the server is a replica until it is promoted.
const POSTGRES_ABOUT_THE_SERVER: [&str; 7] = ["08", "53", "40", "55", "57", "58", "25"];

pub(crate) fn is_about_the_value(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => true,
        _ => {
            matches!(sqlite_code(error), Some(SQLITE_TOOBIG | SQLITE_CONSTRAINT | SQLITE_MISMATCH))
                || has_class(error, &POSTGRES_ABOUT_THE_VALUE)
        }
    }
}

/// Whether the server is temporarily unavailable. Any other error (wrong password, no such database) needs an operator.
fn is_about_the_server(error: &sqlx::Error) -> bool {
    match error {
        // rustls reports an untrusted certificate this way.
        sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => false,
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => has_class(error, &POSTGRES_ABOUT_THE_SERVER),
    }
}

/// The primary result code, which is the lowest byte of the extended one.
pub(crate) fn sqlite_code(error: &sqlx::Error) -> Option<u32> {
    let error = error.as_database_error()?.try_downcast_ref::<SqliteError>()?;
    let code: u32 = error.code()?.parse().ok()?;
    Some(code & 0xFF)
}

pub(crate) fn is_sqlite_busy(error: &sqlx::Error) -> bool {
    sqlite_code(error) == Some(SQLITE_BUSY)
}

/// The five-character SQLSTATE.
pub(crate) fn postgres_code(error: &sqlx::Error) -> Option<&str> {
    Some(error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?.code())
}

fn has_class(error: &sqlx::Error, classes: &[&str]) -> bool {
    postgres_code(error).is_some_and(|code| classes.iter().any(|class| code.starts_with(class)))
}
