//! The database: whether it is there, has our tables, takes what is written, and keeps it.

use error_text::chain;
use service::settings::StoreSettings;
use store::{DatabaseServer, Store, StoreError, WriteFault};

use super::findings::{Check, Finding};
use super::folders;
use crate::stored;

/// A worker has up to ten.
const CONNECTIONS_FEW: i64 = 10;

/// As long as the body of an event is at most, so that a disk on which it does not fit is found.
const WRITE_BYTES: usize = 1 << 20;

pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    /// `None` when it cannot be read.
    pub(super) store: Option<Store>,
}

pub(super) async fn check(settings: &StoreSettings) -> Checked {
    let (mut findings, store) = match stored::open_existing(settings).await {
        Ok(store) => match look(&store).await {
            Ok(findings) => (findings, Some(store)),
            Err(error) => (vec![unreadable(&error)], None),
        },
        Err(error) => (vec![unreadable(&error)], None),
    };
    // Without a folder to write to, the best database is of no use. A write that failed has said why.
    if !findings.iter().any(Finding::is_wrong) {
        findings.extend(folders::database(settings).await.into_iter().filter(|finding| !finding.is_ok()));
    }
    Checked { findings, store }
}

async fn look(store: &Store) -> Result<Vec<Finding>, StoreError> {
    store.ping().await?;
    if let Err(error) = store.check_write(WRITE_BYTES).await {
        let fault = error.write_fault();
        let what = format!("it cannot be written: {}", chain(&error));
        let mut findings = vec![Check::Database.wrong(what, fault.hint())];
        if fault == WriteFault::Other {
            findings.extend(store.server().await?.iter().flat_map(faults));
        }
        return Ok(findings);
    }
    let schema = store.schema_version().await?;
    let Some(server) = store.server().await? else {
        return Ok(vec![Check::Database.ok(format!("it can be read and written, schema {schema}"))]);
    };
    let mut findings = faults(&server);
    if !findings.iter().any(Finding::is_wrong) {
        let version = server.version.split(' ').next().unwrap_or_default();
        let words = format!("PostgreSQL {version} can be read and written, schema {schema}");
        findings.insert(0, Check::Database.ok(words));
    }
    Ok(findings)
}

fn faults(server: &DatabaseServer) -> Vec<Finding> {
    let mut found = Vec::new();
    if !server.writable {
        found.push(Check::Database.wrong(
            "this role may not write Landfall's tables, or the server is a replica",
            "let DATABASE_URL name the primary server and a role that owns the tables",
        ));
    }
    if !server.durable {
        found.push(Check::Database.warning(
            "fsync or full_page_writes is off: results can be lost with the machine",
            "set both on in postgresql.conf",
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
            format!("the server takes only {} more connections", server.connections_free),
            "raise max_connections, or run fewer workers: each may hold ten",
        ));
    }
    found
}

fn unreadable(error: &StoreError) -> Finding {
    match error {
        StoreError::NoDatabase(path) => Check::Database
            .warning(format!("there is none at {} yet", path.display()), "start a worker, which makes it"),
        StoreError::NoTables(database) => Check::Database
            .warning(format!("{database} has no tables of Landfall yet"), "start a worker, which makes them"),
        StoreError::Connect { .. } => Check::Database.wrong(
            chain(error),
            "start the server, or correct host, database, user and password in DATABASE_URL",
        ),
        StoreError::OldSchema { found, needed } => Check::Database.wrong(
            format!("its schema is {found}, this version needs {needed}"),
            "start a worker of this version once, which brings it up to date",
        ),
        StoreError::Obstructed { obstacle, .. } => Check::Database.wrong(error.to_string(), obstacle.hint()),
        StoreError::Setting { .. } => Check::Database.wrong(error.to_string(), "correct DATABASE_URL"),
        StoreError::Folder { .. }
        | StoreError::Migrate(_)
        | StoreError::Database { .. }
        | StoreError::Files { .. }
        | StoreError::OutOfStep { .. } => Check::Database.wrong(
            chain(error),
            "let DATABASE_URL name a database of Landfall that this user may read and write",
        ),
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
        assert!(faults(&right).is_empty());
        let remote = DatabaseServer { local: false, ..right.clone() };
        assert!(faults(&DatabaseServer { encrypted: true, ..remote.clone() }).is_empty());
        for (server, wrong) in [
            (remote, false),
            (DatabaseServer { durable: false, ..right.clone() }, false),
            (DatabaseServer { connections_free: 3, ..right.clone() }, false),
            (DatabaseServer { writable: false, ..right }, true),
        ] {
            let found = faults(&server);
            assert!(found.len() == 1 && found[0].is_wrong() == wrong, "{found:?}");
        }
    }
}
