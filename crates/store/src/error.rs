//! What can go wrong in the store, and whether trying again can help.

use std::path::PathBuf;

use sqlx::error::DatabaseError as _;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;
use webhook::Reason;

use crate::obstacle::Obstacle;

/// Why a call of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{setting} {problem}")]
    Setting {
        /// `DATABASE_URL` or `FILES_URL`.
        setting: &'static str,
        problem: String,
    },
    #[error("the folder {} of {setting} cannot be used", path.display())]
    Folder {
        setting: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("there is no database at {}: the worker makes it when it starts", .0.display())]
    NoDatabase(PathBuf),
    #[error(
        "the PostgreSQL database {0} has no tables of Landfall yet: the worker makes them when it starts"
    )]
    NoTables(String),
    #[error("could not connect to the PostgreSQL database {database}")]
    Connect {
        /// Its name and host.
        database: String,
        #[source]
        source: sqlx::Error,
    },
    #[error(
        "the database has schema {found}, this program needs {needed}: start a worker of this version once"
    )]
    OldSchema { found: i64, needed: i64 },
    #[error("the database {database} cannot take Landfall's tables: {obstacle}")]
    Obstructed { database: String, obstacle: Obstacle },
    #[error("could not bring the database's schema up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    #[error("could not {doing} in the database")]
    Database {
        doing: &'static str,
        #[source]
        source: sqlx::Error,
    },
    #[error("could not {doing} the file {location}")]
    Files {
        doing: &'static str,
        location: String,
        #[source]
        source: object_store::Error,
    },
    /// The batch was begun anew meanwhile, or never: begin it again.
    #[error("batch {batch_id} is at line {next_line:?}, not at line {first_line}")]
    OutOfStep {
        batch_id: String,
        /// `None` when there is no such batch.
        next_line: Option<i64>,
        first_line: i64,
    },
}

/// What is wrong with a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketFault {
    Missing,
    /// The key is wrong, or may not.
    Refused,
    Unreachable,
}

/// What a file that is not there was wanted for.
pub(crate) const READ: &str = "read";

impl StoreError {
    pub(crate) fn database(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { doing, source }
    }

    pub(crate) fn files(doing: &'static str, location: &str) -> impl FnOnce(object_store::Error) -> Self {
        let location = location.to_owned();
        move |source| Self::Files { doing, location, source }
    }

    /// Why a bucket does not take what is written, as far as its answer tells.
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

    /// Whether the same call can succeed later. A full disk or a lost database can; a value no column takes cannot.
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
                // What is not found when something is written is the bucket, which somebody can make.
                object_store::Error::NotFound { .. } => *doing != READ,
                _ => true,
            },
        }
    }

    /// Whether the database's server cannot be reached for now: a program that starts waits for it.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Connect { source, .. } if is_about_the_server(source))
    }

    /// For the event's row, the log and the metric.
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

/// SQLite's primary result codes that the same statement will always meet again: <https://www.sqlite.org/rescode.html>.
const SQLITE_TOOBIG: u32 = 18;
const SQLITE_CONSTRAINT: u32 = 19;
const SQLITE_MISMATCH: u32 = 20;
/// Two workers at once; the busy timeout has run out.
const SQLITE_BUSY: u32 = 5;

/// The same of PostgreSQL, by the class that a code begins with: data exception, constraint, and what is larger than a
/// type or a statement can be. <https://www.postgresql.org/docs/current/errcodes-appendix.html>
const POSTGRES_ABOUT_THE_VALUE: [&str; 3] = ["22", "23", "54"];
/// What a server says that is starting, stopping, full, or where somebody else was first: lost connection, no resources,
/// deadlock or serialization failure, a lock not had, an operator's intervention, a failure of its system, read-only
/// because it is a replica until it takes over.
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

/// Whether the server is out of reach for now. Anything else (a wrong password, no such database) is for people.
fn is_about_the_server(error: &sqlx::Error) -> bool {
    match error {
        // How rustls says that a certificate is not to be trusted.
        sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => false,
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => has_class(error, &POSTGRES_ABOUT_THE_SERVER),
    }
}

/// The primary result code; the extended one has it in its lowest byte.
pub(crate) fn sqlite_code(error: &sqlx::Error) -> Option<u32> {
    let error = error.as_database_error()?.try_downcast_ref::<SqliteError>()?;
    let code: u32 = error.code()?.parse().ok()?;
    Some(code & 0xFF)
}

pub(crate) fn is_sqlite_busy(error: &sqlx::Error) -> bool {
    sqlite_code(error) == Some(SQLITE_BUSY)
}

/// The five characters of the standard.
pub(crate) fn postgres_code(error: &sqlx::Error) -> Option<&str> {
    Some(error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?.code())
}

fn has_class(error: &sqlx::Error, classes: &[&str]) -> bool {
    postgres_code(error).is_some_and(|code| classes.iter().any(|class| code.starts_with(class)))
}
