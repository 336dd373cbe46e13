//! Checks that the database exists, has Landfall's tables, and stores writes durably.

use error_text::chain;
use store::{DatabaseServer, Store, StoreError, WriteFault};

use super::Depth;
use super::finding::{Check, Finding};

/// A worker opens up to ten.
const CONNECTIONS_FEW: i64 = 10;

/// The maximum size of an event's body, so that a disk without room for it is detected.
const WRITE_BYTES: usize = 1 << 20;

/// Checks an open database.
///
/// # Errors
/// When it cannot be read: see [`unreadable`].
pub async fn check(store: &Store, depth: Depth) -> Result<Vec<Finding>, StoreError> {
    store.ping().await?;
    if depth == Depth::Write
        && let Err(error) = store.check_write(WRITE_BYTES).await
    {
        let fault = error.write_fault();
        let what = format!("cannot write to the database: {}", chain(&error));
        let mut findings = vec![Check::Database.wrong(what, fault.hint())];
        if fault == WriteFault::Other {
            findings.extend(store.server().await?.iter().flat_map(|server| faults(server, depth)));
        }
        return Ok(findings);
    }
    let schema = store.schema_version().await?;
    let can = match depth {
        Depth::Write => "can be read and written",
        Depth::Read => "can be read",
    };
    let Some(server) = store.server().await? else {
        return Ok(vec![Check::Database.ok(format!("the database {can}, schema {schema}"))]);
    };
    let mut findings = faults(&server, depth);
    if !findings.iter().any(Finding::is_wrong) {
        let version = server.version.split(' ').next().unwrap_or_default();
        findings.insert(0, Check::Database.ok(format!("PostgreSQL {version} {can}, schema {schema}")));
    }
    Ok(findings)
}

fn faults(server: &DatabaseServer, depth: Depth) -> Vec<Finding> {
    let mut found = Vec::new();
    // A connection that may only read is never writable.
    if depth == Depth::Write && !server.writable {
        found.push(Check::Database.wrong(
            "this role has no permission to write Landfall's tables, or the server is a replica",
            "set DATABASE_URL to the primary server and a role that owns the tables",
        ));
    }
    if !server.durable {
        found.push(Check::Database.warning(
            "fsync or full_page_writes is off: a crash of the machine can lose results",
            "set both to on in postgresql.conf",
        ));
    }
    if !server.encrypted && !server.local {
        found.push(Check::Database.warning(
            "the connection is not encrypted",
            "add ?sslmode=verify-full&sslrootcert=FILE to DATABASE_URL",
        ));
    }
    if server.connections_free < CONNECTIONS_FEW {
        found.push(Check::Database.warning(
            format!("the server accepts only {} more connections", server.connections_free),
            "raise max_connections, or run fewer workers: each opens up to ten",
        ));
    }
    found
}

/// The finding for a database that cannot be opened or read.
pub fn unreadable(error: &StoreError) -> Finding {
    match error {
        StoreError::NoDatabase(path) => Check::Database.warning(
            format!("no database exists at {} yet", path.display()),
            "start a worker, which creates it",
        ),
        StoreError::NoTables(database) => Check::Database
            .warning(format!("{database} has no Landfall tables yet"), "start a worker, which creates them"),
        StoreError::OldSchema { found, needed } => Check::Database.wrong(
            format!("the database has schema {found}, but this version needs {needed}"),
            "start a worker of this version, which migrates it",
        ),
        StoreError::Setting { .. } => Check::Database.wrong(error.to_string(), "correct DATABASE_URL"),
        StoreError::Connect { .. }
        | StoreError::Obstructed { .. }
        | StoreError::Folder { .. }
        | StoreError::Migrate(_)
        | StoreError::Database { .. }
        | StoreError::Files { .. }
        | StoreError::OutOfStep { .. } => {
            let hint = error.hint().unwrap_or_else(|| {
                "set DATABASE_URL to a Landfall database that this user can read and write".to_owned()
            });
            Check::Database.wrong(chain(error), hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_of_a_server_is_named() {
        let right = DatabaseServer {
            version: "15.18 (Debian)".to_owned(),
            encrypted: false,
            local: true,
            durable: true,
            writable: true,
            connections_free: 90,
        };
        assert!(faults(&right, Depth::Write).is_empty());
        let remote = DatabaseServer { local: false, ..right.clone() };
        assert!(faults(&DatabaseServer { encrypted: true, ..remote.clone() }, Depth::Write).is_empty());
        for (server, wrong) in [
            (remote, false),
            (DatabaseServer { durable: false, ..right.clone() }, false),
            (DatabaseServer { connections_free: 3, ..right.clone() }, false),
            (DatabaseServer { writable: false, ..right.clone() }, true),
        ] {
            let found = faults(&server, Depth::Write);
            assert!(found.len() == 1 && found[0].is_wrong() == wrong, "{found:?}");
        }
    }
}
