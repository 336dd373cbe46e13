//! `landfall migrate` and `landfall db`: the schema, and moving rows between databases.

use serde_json::json;
use test_support::postgres::PostgresServer;
use test_support::redis::free_port;

use crate::command::landfall;
use crate::filled::Filled;

#[test]
fn migrate_creates_the_tables_once_and_prints_the_versions() {
    let folder = tempfile::tempdir().unwrap();
    for url in [format!("sqlite://{}/new.db", folder.path().display()), PostgresServer::shared().database()] {
        let settings = [("DATABASE_URL", url.as_str())];
        let first = landfall(&settings, &["migrate"]).with_code(0);
        assert!(
            first.stdout.starts_with("created the tables: the schema is at version "),
            "{}",
            first.stdout
        );
        let again = landfall(&settings, &["migrate"]).with_code(0);
        assert!(again.stdout.starts_with("nothing to do: the schema is at version "), "{}", again.stdout);
        let versions = landfall(&settings, &["migrate", "--json"]).with_code(0).json();
        assert_eq!(versions["from"], versions["to"]);
    }
}

#[test]
fn migrate_distinguishes_an_invalid_setting_from_an_unreachable_database() {
    landfall(&[("DATABASE_URL", "mysql://x/y")], &["migrate"]).with_code(2);
    let unreachable = format!("postgres://me:hunter2@127.0.0.1:{}/x", free_port());
    let ended = landfall(&[("DATABASE_URL", &unreachable)], &["migrate"]).with_code(3);
    assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_rows_move_from_sqlite_to_postgresql_and_back() {
    let filled = Filled::with_everything().await;
    let from = filled.settings();
    let from: Vec<(&str, &str)> = from.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (out, back) = (path("out.jsonl"), path("back.jsonl"));
    landfall(&from, &["db", "export", "--output", &out]).with_code(0);
    landfall(&from, &["db", "export", "--output", &out]).with_code(2);

    let postgres = PostgresServer::shared().database();
    let to = [("DATABASE_URL", postgres.as_str())];
    let imported = landfall(&to, &["db", "import", &out]).with_code(0);
    assert!(imported.stderr.ends_with(" rows imported\n"), "{}", imported.stderr);
    let refused = landfall(&to, &["db", "import", &out]).with_code(1);
    assert!(refused.stderr.contains("events already has rows") && refused.stderr.contains("--replace"));
    landfall(&to, &["db", "import", "--replace", &out]).with_code(0);
    let (here, there) = (landfall(&from, &["events", "--json"]), landfall(&to, &["events", "--json"]));
    assert_eq!((here.json_lines(), here.stdout.is_empty()), (there.json_lines(), false));

    landfall(&to, &["db", "export", "--output", &back]).with_code(0);
    let sqlite = format!("sqlite://{}", path("back.db"));
    landfall(&[("DATABASE_URL", &sqlite)], &["db", "import", &back]).with_code(0);
    let again = landfall(&[("DATABASE_URL", &sqlite)], &["events", "--json"]);
    assert_eq!(again.json_lines(), here.json_lines());
}

#[test]
fn an_invalid_export_is_rejected_with_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let (file, url) = (folder.path().join("x.jsonl"), format!("sqlite://{}/x.db", folder.path().display()));
    std::fs::write(&file, format!("{}\n", json!({"id": "batch_1"}))).unwrap();
    let ended = landfall(&[("DATABASE_URL", &url)], &["db", "import", file.to_str().unwrap()]).with_code(2);
    assert!(ended.stderr.contains("line 1 of the export is not the header of an export"), "{}", ended.stderr);
}
