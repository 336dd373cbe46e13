//! `landfall doctor` on a correct installation and on each kind of faulty one.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use notifier::Config;
use secrecy::SecretString;
use serde_json::Value;
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use store::{Store, StoreConfig};
use tempfile::TempDir;
use test_support::postgres::PostgresServer;
use test_support::redis::{RedisServer, free_port};
use test_support::signed_webhook::SECRET;

use crate::command::{Ended, landfall};
use crate::fake_api::FakeApi;
use crate::filled::Filled;
use crate::programs::Programs;

const API_KEY: &str = "sk-proj-Wq7-very-secret";
const DURABLE: [&str; 6] = ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "100mb"];

/// A correct installation, in which ingest and a worker have sent heartbeats.
pub(crate) struct Setup {
    settings: BTreeMap<&'static str, String>,
    programs: Programs,
    _redis: RedisServer,
    _filled: Filled,
    folder: TempDir,
}

impl Setup {
    pub(crate) async fn valid() -> Self {
        Self::with_redis(&DURABLE).await
    }

    async fn with_redis(arguments: &[&str]) -> Self {
        let (redis, filled) = (RedisServer::start_with(arguments), Filled::empty().await);
        let mut settings = BTreeMap::from([
            ("REDIS_URL", redis.url()),
            ("OPENAI_API_KEY", API_KEY.to_owned()),
            ("OPENAI_BASE_URL", FakeApi::start().base_url),
            ("OPENAI_WEBHOOK_SECRET", SECRET.to_owned()),
        ]);
        settings.extend(filled.settings());
        let programs = Programs::start(&redis.url()).await;
        Self { settings, programs, _redis: redis, _filled: filled, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.insert(name, value.into());
        self
    }

    pub(crate) fn doctor(&self, arguments: &[&str]) -> Ended {
        let settings: Vec<_> = self.settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let ended = landfall(&settings, &[&["doctor"], arguments].concat());
        shows_no_secret(&ended);
        ended
    }

    /// Exactly this check is wrong, and its line contains these texts.
    fn is_wrong(&self, check: &str, words: &[&str]) {
        let text = self.doctor(&[]).with_code(1);
        text.fits_80_columns();
        assert_eq!(text.stderr, "", "{text:#?}");
        one_is_wrong(&self.doctor(&["--json"]).with_code(1), check, words);
    }
}

fn shows_no_secret(ended: &Ended) {
    for said in [&ended.stdout, &ended.stderr] {
        assert!(!said.contains("very-secret") && !said.contains("dGVzdHMg"), "a secret is shown: {ended:#?}");
    }
}

fn one_is_wrong(ended: &Ended, check: &str, words: &[&str]) {
    let lines = ended.json_lines();
    let wrong: Vec<&Value> = lines.iter().filter(|line| line["state"] == "wrong").collect();
    assert!(wrong.len() == 1 && wrong[0]["check"] == check, "{ended:#?}");
    let line = format!("{}; {}", wrong[0]["what"].as_str().unwrap(), wrong[0]["cure"].as_str().unwrap());
    for words in words {
        assert!(line.contains(words), "{words:?} is not in: {line}");
    }
}

fn states(ended: &Ended) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    ended.json_lines().iter().map(|line| (text(&line["check"]), text(&line["state"]))).collect()
}

#[tokio::test]
async fn a_correct_installation_is_ok_in_every_line() {
    let setup = Setup::valid().await;
    let ended = setup.doctor(&["--json"]).with_code(0);
    let checks =
        ["settings", "secret", "redis", "programs", "database", "files", "api", "permissions", "clock"];
    let expected: Vec<_> = checks.iter().map(|check| ((*check).to_owned(), "ok".to_owned())).collect();
    assert_eq!(states(&ended), expected, "{ended:#?}");
    let text = setup.doctor(&[]).with_code(0);
    text.fits_80_columns();
    let rows = text.stdout.lines().filter(|line| line.starts_with("ok "));
    assert_eq!(rows.count(), checks.len(), "{}", text.stdout);
}

#[tokio::test]
async fn a_wrong_secret_is_reported() {
    let setup = Setup::valid().await.with("OPENAI_WEBHOOK_SECRET", "whsec_Zm9yYmlkZGVu");
    let words = ["SECRET has a key of 9 bytes, but at least 24 are required", "copy the whole secret again"];
    setup.is_wrong("secret", &words);
    let setup = setup.with("OPENAI_WEBHOOK_SECRET", "");
    setup.is_wrong("secret", &["OPENAI_WEBHOOK_SECRET is not set; set it to the signing secret", "whsec_"]);
    let setup = setup.with("OPENAI_WEBHOOK_SECRET_FILE", "/no/such/file");
    setup.is_wrong("secret", &["cannot read /no/such/file", "set OPENAI_WEBHOOK_SECRET_FILE to a file"]);
}

#[tokio::test]
async fn an_unreachable_redis_is_reported() {
    let url = format!("redis://:hunter2@127.0.0.1:{}", free_port());
    let setup = Setup::valid().await.with("REDIS_URL", url);
    setup.is_wrong("redis", &["onnection refused", "start Redis, or correct the host and port in REDIS_URL"]);
    assert!(!setup.doctor(&[]).stdout.contains("hunter2"));
}

#[tokio::test]
async fn what_fills_a_full_redis_is_named() {
    // An empty Redis needs more than this.
    let setup =
        Setup::with_redis(&["--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "500kb"]).await;
    setup.is_wrong(
        "redis",
        &[
            "% of maxmemory is used: backlog 0.0 MiB, dead letters 0.0 MiB, dedupe records 0.0 MiB, other ",
            "ingest rejects webhooks",
            "raise maxmemory",
        ],
    );
}

#[tokio::test]
async fn a_volatile_redis_is_reported_and_can_be_accepted() {
    let setup = Setup::with_redis(&["--maxmemory", "100mb"]).await;
    setup.is_wrong(
        "redis",
        &["a restart loses acknowledged events", "appendonly yes", "ALLOW_VOLATILE_REDIS=true"],
    );
    let accepted = setup.with("ALLOW_VOLATILE_REDIS", "true").doctor(&["--json"]).with_code(0);
    assert!(states(&accepted).contains(&("redis".to_owned(), "warning".to_owned())), "{accepted:#?}");
}

#[tokio::test]
async fn an_evicting_redis_is_reported() {
    let evicting = [&DURABLE[..], &["--maxmemory-policy", "allkeys-lru"]].concat();
    let words = ["maxmemory-policy is allkeys-lru", "evicts events", "set maxmemory-policy noeviction"];
    Setup::with_redis(&evicting).await.is_wrong("redis", &words);
}

#[tokio::test]
async fn a_wrong_key_is_reported_but_not_printed_even_if_the_response_contains_it() {
    let body =
        format!(r#"{{"error":{{"code":"invalid_api_key","message":"Incorrect API key: {API_KEY}"}}}}"#);
    let api = FakeApi::answering("401 Unauthorized", &body, 0);
    let setup = Setup::valid().await.with("OPENAI_BASE_URL", api.base_url);
    setup.is_wrong("api", &["OpenAI rejects OPENAI_API_KEY (401)", "create a key in the webhook's project"]);

    let body = r#"{"error":{"message":"Missing scopes: api.batch.read"}}"#;
    let api = FakeApi::answering("403 Forbidden", body, 0);
    let setup = setup.with("OPENAI_BASE_URL", api.base_url);
    setup.is_wrong("api", &["Missing scopes: api.batch.read", "allow the key to read"]);
    setup
        .with("OPENAI_API_KEY", "")
        .is_wrong("api", &["OPENAI_API_KEY is not set; set it to an API key", "FETCH=off"]);
}

#[tokio::test]
async fn a_wrong_base_url_is_reported() {
    let mut setup = Setup::valid().await;
    let cases = [
        ("404 Not Found", "<html>nginx</html>", "not the OpenAI API (404)"),
        ("200 OK", "<html>Welcome</html>", "is not the OpenAI API"),
        ("200 OK", r#"{"models":[]}"#, "is not the OpenAI API"),
        ("302 Found", "", "redirects to another host"),
    ];
    for (status, body, words) in cases {
        setup = setup.with("OPENAI_BASE_URL", FakeApi::answering(status, body, 6000).base_url);
        setup.is_wrong("api", &[words, "set OPENAI_BASE_URL", "https://api.openai.com/v1"]);
    }
    let closed = format!("http://127.0.0.1:{}/v1", free_port());
    setup
        .with("OPENAI_BASE_URL", closed)
        .is_wrong("api", &["cannot be reached", "onnection refused", "check the URL"]);
}

#[tokio::test]
async fn a_busy_openai_is_only_a_warning() {
    let api = FakeApi::answering("503 Service Unavailable", "{}", 0);
    let ended = Setup::valid().await.with("OPENAI_BASE_URL", api.base_url).doctor(&["--json"]).with_code(0);
    assert!(states(&ended).contains(&("api".to_owned(), "warning".to_owned())), "{ended:#?}");
}

#[tokio::test]
async fn a_wrong_clock_is_reported() {
    for (ahead_secs, words) in [(600, "s behind OpenAI's"), (-600, "s ahead of OpenAI's")] {
        let api = FakeApi::with_clock(ahead_secs);
        let setup = Setup::valid().await.with("OPENAI_BASE_URL", api.base_url);
        setup.is_wrong("clock", &[words, "rejects genuine webhooks", "timedatectl set-ntp true"]);
    }
    // OpenAI's error responses have a usable clock, too.
    let api = FakeApi::answering("401 Unauthorized", "{}", 600);
    let ended = Setup::valid().await.with("OPENAI_BASE_URL", api.base_url).doctor(&["--json"]).with_code(1);
    assert!(states(&ended).contains(&("clock".to_owned(), "wrong".to_owned())), "{ended:#?}");
}

#[tokio::test]
async fn an_old_schema_is_reported() {
    let setup = Setup::valid().await;
    let mut database = SqliteConnection::connect(&setup.settings["DATABASE_URL"]).await.unwrap();
    database.execute("DELETE FROM landfall_migrations WHERE version > 1").await.unwrap();
    setup.is_wrong("database", &["has schema 1, but this version needs", "start a worker of this version"]);
}

#[tokio::test]
async fn other_databases_are_distinguished() {
    let setup = Setup::valid().await;
    let path = setup.folder.path().join("landfall.db");
    let url = format!("sqlite://{}", path.display());
    let setup = setup.with("DATABASE_URL", url);
    let ended = setup.doctor(&["--json"]).with_code(0);
    assert!(states(&ended).contains(&("database".to_owned(), "warning".to_owned())), "{ended:#?}");
    assert!(ended.stdout.contains("start a worker, which creates it"), "{ended:#?}");
    assert!(!path.exists(), "doctor creates nothing");
    std::fs::write(&path, "this is a text, and no database at all ".repeat(100)).unwrap();
    setup.is_wrong("database", &["not a database", "set DATABASE_URL to"]);
}

#[tokio::test]
async fn a_postgresql_database_is_checked() {
    let mut server = PostgresServer::start_with(&["-c", "fsync=off"]);
    let setup = Setup::valid().await.with("DATABASE_URL", server.database());
    let ended = setup.doctor(&["--json"]).with_code(0);
    assert!(ended.stdout.contains("has no Landfall tables yet"), "{ended:#?}");

    let config = StoreConfig {
        database_url: setup.settings["DATABASE_URL"].clone().into(),
        files_url: setup.settings["FILES_URL"].clone(),
        s3: store::S3Config::default(),
    };
    Store::open(&config).await.unwrap().close().await;
    let ended = setup.doctor(&["--json"]).with_code(0);
    assert!(ended.stdout.contains("can be read and written, schema "), "{ended:#?}");
    assert!(ended.stdout.contains("fsync or full_page_writes is off"), "{ended:#?}");

    server.kill();
    setup.is_wrong("database", &["could not connect to", "start the server"]);
}

#[tokio::test]
async fn a_file_in_place_of_the_folder_is_reported() {
    let setup = Setup::valid().await;
    let file = setup.folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("files")] {
        let words = [path.to_str().unwrap(), "its path or a parent is a file", "choose another folder"];
        let setup = Setup::valid().await.with("FILES_URL", path.to_str().unwrap());
        setup.is_wrong("files", &words);
    }
}

/// Runs doctor with a separate file system mounted at a folder. `None` where users cannot mount: then only the unit tests
/// of `folders.rs` test these two faults.
fn doctor_with_mount(setup: &Setup, folder: &Path, options: &str) -> Option<Ended> {
    let script = "mount -t tmpfs -o \"$1\" tmpfs \"$2\" && exec \"$3\" doctor --json";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", options])
        .arg(folder)
        .arg(env!("CARGO_BIN_EXE_landfall"))
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(&setup.settings)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    if stdout.is_empty() {
        assert!(
            stderr.contains("unshare:") || stderr.contains("mount:"),
            "the doctor said nothing: {stderr}"
        );
        return None;
    }
    Some(Ended { code: output.status.code().unwrap(), stdout, stderr })
}

#[tokio::test]
async fn a_read_only_folder_is_reported() {
    let setup = Setup::valid().await;
    let folder = setup.folder.path().to_owned();
    let setup = setup.with("FILES_URL", folder.to_str().unwrap());
    if let Some(ended) = doctor_with_mount(&setup, &folder, "ro") {
        let words = [folder.to_str().unwrap(), "is read-only", "mount it read-write"];
        one_is_wrong(&ended.with_code(1), "files", &words);
    }
}

#[tokio::test]
async fn a_full_disk_is_reported() {
    let setup = Setup::valid().await;
    let folder = setup.folder.path().to_owned();
    let setup = setup.with("FILES_URL", folder.to_str().unwrap());
    if let Some(ended) = doctor_with_mount(&setup, &folder, "size=32k") {
        one_is_wrong(&ended.with_code(1), "files", &["is on a full disk", "free disk space"]);
    }
    if let Some(ended) = doctor_with_mount(&setup, &folder, "size=1m") {
        one_is_wrong(&ended.with_code(1), "files", &["only 1.00 MiB are free", "free disk space"]);
    }
}

#[test]
fn an_invalid_setting_is_a_usage_error_with_a_hint() {
    for (name, value) in [("REDIS_URL", "127.0.0.1:6379"), ("OPENAI_BASE_URL", "api.openai.com/v1")] {
        let ended = landfall(&[(name, value)], &["doctor"]).with_code(2);
        assert!(ended.stderr.contains(name) && ended.stderr.contains("write a URL"), "{ended:#?}");
    }
}

#[tokio::test]
async fn the_file_of_targets_is_checked() {
    let setup = Setup::valid().await;
    let path = setup.folder.path().join("landfall.toml").display().to_string();
    let setup = setup.with("LANDFALL_CONFIG", path.clone());
    setup.is_wrong("targets", &[&path, "landfall config check"]);

    let target = "[[targets]]\nname = \"app\"\nurl = \"https://1.1.1.1/hook\"\nsecret_env = \"APP_SECRET\"\n";
    std::fs::write(&path, target).unwrap();
    setup.is_wrong("targets", &["APP_SECRET"]);

    let setup = setup.with("APP_SECRET", SECRET);
    setup.is_wrong(
        "targets",
        &[
            "the workers do not have these targets and send them nothing: app",
            "start the workers with LANDFALL_CONFIG",
        ],
    );
    let config = Config::parse(target, &|_| Ok(SecretString::from(SECRET))).unwrap();
    setup.programs.worker_knows(&config).await;
    let ended = setup.doctor(&["--json"]).with_code(0);
    let targets = states(&ended).into_iter().filter(|(check, _)| check == "targets").collect::<Vec<_>>();
    assert_eq!(targets, [("targets".to_owned(), "ok".to_owned())], "{ended:#?}");
    assert!(ended.stdout.contains("all usable: app"), "{ended:#?}");

    std::fs::write(&path, format!("{target}colour = \"red\"\n")).unwrap();
    setup.is_wrong("targets", &["colour", "landfall config check"]);
}

#[tokio::test]
async fn what_the_programs_do_not_agree_about_is_named() {
    let setup = Setup::valid().await;
    let config = Config::parse("[[targets]]\nname = \"app\"\nkind = \"redis-stream\"\n", &|_| {
        Ok(SecretString::from(SECRET))
    })
    .unwrap();
    setup.programs.add("worker", "0.0.9", Some(&config)).await;
    let ended = setup.doctor(&["--json"]).with_code(1);
    one_is_wrong(
        &ended,
        "targets",
        &["the workers have different targets", "has app", "the same landfall.toml"],
    );
    assert!(ended.stdout.contains("several versions are running: 0.0.9, "), "{ended:#?}");
}

#[tokio::test]
async fn a_redis_of_another_kind_is_named_with_what_to_use_instead() {
    let cluster = [&DURABLE[..], &["--cluster-enabled", "yes"]].concat();
    let redis = RedisServer::start_with(&cluster);
    let ended = Setup::valid().await.with("REDIS_URL", redis.url()).doctor(&["--json"]).with_code(1);
    assert!(ended.stdout.contains("it is a node of a Redis Cluster"), "{ended:#?}");
    assert!(ended.stdout.contains("use one Redis or Valkey with cluster mode disabled"), "{ended:#?}");
    assert!(ended.stdout.contains("cannot enqueue events"), "{ended:#?}");
}

#[tokio::test]
async fn what_keeps_tables_from_being_made_is_named() {
    let server = PostgresServer::start();
    let url = server.database();
    let setup = Setup::valid().await.with("DATABASE_URL", url.clone());
    let name = url.split(['/', '?']).nth(3).unwrap();
    server.sql(name, "CREATE TABLE events (mine int)");
    setup.is_wrong("database", &["not Landfall's: events", "use a separate database"]);
    server.sql(name, "DROP TABLE events");
    server.sql(name, "REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE ROLE guest LOGIN");
    let setup = setup.with("DATABASE_URL", url.replace("postgres@", "guest@"));
    setup.is_wrong("database", &["may not create tables", "GRANT CREATE ON SCHEMA public TO guest"]);
}
