//! Why the database cannot be written, in cases that need different actions.

use std::io::ErrorKind;

use crate::error::{StoreError, postgres_code, sqlite_code};

/// Why the database cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteFault {
    DiskFull,
    /// A replica, a file system mounted read-only, or a read-only database.
    ReadOnly,
    /// The user or role lacks permission.
    NotPermitted,
    /// The server is down, starting, or does not respond in time.
    Unreachable,
    Other,
}

/// SQLite's primary result codes: <https://www.sqlite.org/rescode.html>.
const SQLITE_PERM: u32 = 3;
const SQLITE_READONLY: u32 = 8;
const SQLITE_FULL: u32 = 13;

impl WriteFault {
    /// How to fix it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::DiskFull => "free space on the disk of the database, or move it to a larger one",
            Self::ReadOnly => {
                "name the primary server in DATABASE_URL, or make the database and its disk writable again"
            }
            Self::NotPermitted => {
                "grant the workers' user or role write access to Landfall's tables and files"
            }
            Self::Unreachable => "start the database server, or correct the host and port in DATABASE_URL",
            Self::Other => "check the database log",
        }
    }
}

impl StoreError {
    /// Why a write failed, as far as the error tells.
    pub fn write_fault(&self) -> WriteFault {
        match self {
            Self::Folder { source, .. } => of_folder(source.kind()),
            Self::Connect { source, .. } | Self::Database { source, .. } => of_database(source),
            _ => WriteFault::Other,
        }
    }
}

fn of_folder(kind: ErrorKind) -> WriteFault {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => WriteFault::DiskFull,
        ErrorKind::ReadOnlyFilesystem => WriteFault::ReadOnly,
        ErrorKind::PermissionDenied => WriteFault::NotPermitted,
        _ => WriteFault::Other,
    }
}

fn of_database(error: &sqlx::Error) -> WriteFault {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => WriteFault::Unreachable,
        _ => match postgres_code(error) {
            Some(code) => of_postgres(code),
            None => of_sqlite(sqlite_code(error)),
        },
    }
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn of_postgres(code: &str) -> WriteFault {
    match code {
        "53100" => WriteFault::DiskFull,
        "25006" => WriteFault::ReadOnly,
        "42501" => WriteFault::NotPermitted,
        // Shutting down, starting up, or out of connections.
        "57P01" | "57P02" | "57P03" | "53300" => WriteFault::Unreachable,
        code if code.starts_with("08") => WriteFault::Unreachable,
        _ => WriteFault::Other,
    }
}

fn of_sqlite(code: Option<u32>) -> WriteFault {
    match code {
        Some(SQLITE_FULL) => WriteFault::DiskFull,
        Some(SQLITE_READONLY) => WriteFault::ReadOnly,
        Some(SQLITE_PERM) => WriteFault::NotPermitted,
        Some(_) | None => WriteFault::Other,
    }
}
