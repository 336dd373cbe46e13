//! Forms of database URLs and passwords, tested with a real PostgreSQL.

use std::fs;
use std::net::TcpListener;

use test_support::postgres::PostgresServer;

use crate::command::{Ended, landfall};

/// Migrates the database, which requires a working connection.
fn migrate(settings: &[(&str, &str)]) -> Ended {
    landfall(settings, &["migrate"])
}

#[test]
fn a_socket_is_named_as_google_cloud_sql_does() {
    let server = PostgresServer::shared();
    let (_, database) =
        server.database().split_once("5432/").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let (database, _) = database.split_once('?').unwrap();
    let folder = server.folder().display();
    for url in [
        format!("postgresql://postgres:x@/{database}?host={folder}"),
        format!("postgres://postgres@:5432/{database}?host={folder}"),
        format!("postgres:///{database}?host={folder}&user=postgres"),
    ] {
        migrate(&[("DATABASE_URL", &url)]).with_code(0);
    }
    let separate = format!("postgresql://postgres@/{database}?host={folder}");
    migrate(&[("DATABASE_URL", &separate), ("DATABASE_PASSWORD", "p/w?#%41")]).with_code(0);
}

#[test]
fn an_ipv6_address_is_connected_to() {
    // Containers often have no IPv6.
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let server = PostgresServer::start_with_ipv6();
    let url = format!("postgres://postgres:x@[::1]:{}/postgres", server.port());
    migrate(&[("DATABASE_URL", &url)]).with_code(0);
    assert_eq!(
        server.sql(
            "postgres",
            "SELECT count(*) > 0 FROM information_schema.tables WHERE table_name = 'events'"
        ),
        "t"
    );
}

#[test]
fn a_database_password_of_its_own_is_the_password_whatever_is_in_it() {
    let server = PostgresServer::start();
    let hba = server.folder().join("data/pg_hba.conf");
    let rules = fs::read_to_string(&hba).unwrap();
    fs::write(&hba, format!("local all careful scram-sha-256\n{rules}")).unwrap();
    server.sql("postgres", "SELECT pg_reload_conf()");
    let url = server.url("careful").replace("postgres@", "careful@");
    server.sql("postgres", "CREATE ROLE careful LOGIN");
    server.sql("postgres", "CREATE DATABASE careful OWNER careful");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    for password in ["p%41ss", "100%", "a/b?c#d@e:f"] {
        server.sql("postgres", &format!("ALTER ROLE careful PASSWORD '{password}'"));
        migrate(&[("DATABASE_URL", &url), ("DATABASE_PASSWORD", password)]).with_code(0);
        fs::write(&file, format!("{password}\n")).unwrap();
        migrate(&[("DATABASE_URL", &url), ("DATABASE_PASSWORD_FILE", file.to_str().unwrap())]).with_code(0);
        let wrong = migrate(&[("DATABASE_URL", &url), ("DATABASE_PASSWORD", "hunter2")]).with_code(3);
        assert!(wrong.stderr.contains("password authentication failed"), "{wrong:#?}");
    }
}
