//! A complete Landfall on one machine: Redis, fake-openai, the real `ingest` and `worker` processes on free ports, and
//! SQLite in a temporary folder or the tests' PostgreSQL. Everything stops when it is dropped.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use chrono::{DateTime, Utc};
use fake_openai::{FakeConfig, FakeOpenAi};
use serde_json::Value;
use store::{EventFilter, EventRecord, Found, ResultFilter, ResultRow, S3Config, Store, StoreConfig};
use tempfile::TempDir;
use test_support::postgres::PostgresServer;
use test_support::programs::{self, Program};
use test_support::redis::RedisServer;
use test_support::signed_webhook::{SECRET, SignedWebhook};
use test_support::wait;
use webhook::{EventState, Family, Reason, SigningSecret};

/// The API key that fake-openai accepts and the workers use.
pub(crate) const API_KEY: &str = "sk-test-of-the-whole-thing";
/// A key that fake-openai accepts as a key of another project.
pub(crate) const FOREIGN_API_KEY: &str = "sk-test-of-another-project";

/// The database of an installation.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    Sqlite,
    /// A new database on the server that all tests share.
    Postgres,
    /// A database at this URL.
    At(String),
}

/// A row of `events`.
#[derive(Debug, Clone)]
pub(crate) struct EventRow {
    pub(crate) event_id: Option<String>,
    pub(crate) family: Family,
    pub(crate) object_id: Option<String>,
    pub(crate) processed_at: Option<DateTime<Utc>>,
    pub(crate) attempts: u32,
    pub(crate) state: EventState,
    pub(crate) reason: Option<Reason>,
    pub(crate) last_error: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl EventRow {
    fn of(record: EventRecord) -> Self {
        Self {
            state: record.state.known().unwrap(),
            reason: record.reason.map(|reason| reason.known().unwrap()),
            family: record.family.known().unwrap(),
            event_id: record.event_id,
            object_id: record.object_id,
            processed_at: record.processed_at,
            attempts: record.attempts,
            last_error: record.last_error,
            body: record.body,
        }
    }
}

/// A running installation.
pub(crate) struct Landfall {
    pub(crate) ingest: Program,
    pub(crate) workers: Vec<Program>,
    pub(crate) fake: FakeOpenAi,
    pub(crate) redis: RedisServer,
    folder: TempDir,
    database_url: String,
    worker_settings: Vec<(String, String)>,
    url: String,
    http: reqwest::Client,
}

impl Landfall {
    /// Starts everything with one worker.
    pub(crate) async fn start() -> Self {
        Self::start_with(1, &[]).await
    }

    /// Starts everything with this many workers and these additional worker settings; `RUST_LOG` also applies to ingest.
    pub(crate) async fn start_with(workers: usize, settings: &[(&str, &str)]) -> Self {
        Self::start_on_with(Database::Sqlite, workers, settings).await
    }

    /// Starts everything with one worker, on this database.
    pub(crate) async fn start_on(database: Database) -> Self {
        Self::start_on_with(database, 1, &[]).await
    }

    /// The same with a number of workers and their settings.
    pub(crate) async fn start_on_with(database: Database, workers: usize, settings: &[(&str, &str)]) -> Self {
        // reqwest needs a TLS provider even for plain HTTP.
        rustls::crypto::ring::default_provider().install_default().ok();
        let redis = RedisServer::start();
        let config = FakeConfig {
            api_key: Some(API_KEY.to_owned()),
            foreign_api_key: Some(FOREIGN_API_KEY.to_owned()),
            webhook_secret: Some(SigningSecret::parse(SECRET).unwrap()),
            end_after: Duration::from_millis(50),
            ..FakeConfig::default()
        };
        let fake = FakeOpenAi::start(config).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let database_url = match database {
            Database::Sqlite => format!("sqlite://{}/landfall.db", folder.path().display()),
            Database::Postgres => PostgresServer::shared().database(),
            Database::At(url) => url,
        };
        let redis_url = redis.url();
        let mut ingest_settings = vec![
            ("OPENAI_WEBHOOK_SECRET", SECRET),
            ("REDIS_URL", &redis_url),
            ("INGEST_ADDR", "127.0.0.1:0"),
            ("ADMIN_ADDR", "127.0.0.1:0"),
        ];
        ingest_settings.extend(settings.iter().filter(|(name, _)| *name == "RUST_LOG"));
        let mut ingest = Program::start("ingest", &ingest_settings);
        let url = format!(
            "http://{}/openai/webhook",
            log_field(&ingest.wait_for_log("ingest.addr"), "ingest.addr")
        );
        fake.send_to(&url);
        let mut worker_settings: Vec<(String, String)> = [
            // Short waits, so that tests of retries are fast. Unit tests check the defaults.
            ("RETRY_MIN_SECS", "0.05"),
            ("RETRY_MAX_SECS", "1"),
            ("NOT_FOUND_FOR_SECS", "1"),
            ("LEASE_SECS", "2"),
            // The tests must also run on a nearly full disk.
            ("MIN_FREE_BYTES", "1MiB"),
            ("ADMIN_ADDR", "127.0.0.1:0"),
            ("OPENAI_API_KEY", API_KEY),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        let files = files_url(&folder);
        let own = [("REDIS_URL", redis.url()), ("OPENAI_BASE_URL", fake.base_url()), ("FILES_URL", files)];
        worker_settings.extend(own.map(|(name, value)| (name.to_owned(), value)));
        worker_settings.push(("DATABASE_URL".to_owned(), database_url.clone()));
        worker_settings.extend(settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        let http = reqwest::Client::builder().build().unwrap();
        let mut landfall = Self {
            ingest,
            workers: Vec::new(),
            fake,
            redis,
            folder,
            database_url,
            worker_settings,
            url,
            http,
        };
        for _ in 0..workers {
            landfall.add_worker();
        }
        landfall
    }

    /// Changes a setting for the workers that are started from now on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.worker_settings.push((name.to_owned(), value.to_owned()));
    }

    /// Starts another worker and waits until it is ready.
    pub(crate) fn add_worker(&mut self) {
        let worker = self.begin_worker();
        self.workers[worker].wait_for_log("admin.addr");
    }

    /// Starts another worker without waiting until it is ready. Returns its index.
    pub(crate) fn begin_worker(&mut self) -> usize {
        let settings: Vec<(&str, &str)> =
            self.worker_settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.workers.push(Program::start("worker", &settings));
        self.workers.len() - 1
    }

    /// Waits until any worker logs a line that contains `text`.
    pub(crate) async fn a_worker_logs(&self, text: &str) {
        let logged = async || {
            let mut lines = self.workers.iter().flat_map(Program::log);
            lines.any(|line| line.contains(text)).then_some(())
        };
        wait::until(&format!("{text:?} in the log of a worker"), logged).await;
    }

    /// Posts a webhook to ingest. Returns status and body of the response.
    pub(crate) async fn post(&self, webhook: &SignedWebhook) -> (u16, Value) {
        let answer = self.try_post(webhook).await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap())
    }

    pub(crate) async fn try_post(&self, webhook: &SignedWebhook) -> reqwest::Result<reqwest::Response> {
        let mut request = self.http.post(&self.url).body(webhook.body.clone());
        for (name, value) in webhook.headers() {
            request = request.header(name, value);
        }
        request.send().await
    }

    /// Posts a thin event, which must be accepted. Returns its webhook-id.
    pub(crate) async fn send(&self, event_type: &str, object_id: &str) -> String {
        let webhook = SignedWebhook::new(event_type, object_id);
        assert_eq!(self.post(&webhook).await, (200, serde_json::json!({"received": true})));
        webhook.webhook_id
    }

    /// Waits until nothing is queued, running or delayed.
    pub(crate) async fn settled(&self) {
        // On a busy machine a single `landfall status` may time out.
        let empty = async || {
            let output = self.landfall(&["status", "--json"]);
            let status: Value = serde_json::from_slice(&output.stdout).ok()?;
            (status["total"]["backlog"] == 0).then_some(())
        };
        wait::until("an empty backlog", empty).await;
    }

    /// Entries in all streams: undelivered, running and delayed.
    pub(crate) fn backlog(&self) -> i64 {
        self.status()["total"]["backlog"].as_i64().unwrap()
    }

    /// `landfall status --json`.
    pub(crate) fn status(&self) -> Value {
        let output = self.landfall(&["status", "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs the command `landfall` against this installation.
    pub(crate) fn landfall(&self, arguments: &[&str]) -> Output {
        self.landfall_with(&[], arguments)
    }

    /// The same with more settings.
    pub(crate) fn landfall_with(&self, settings: &[(&str, &str)], arguments: &[&str]) -> Output {
        self.command(settings, arguments).output().unwrap()
    }

    /// The same, not started yet.
    pub(crate) fn command(&self, settings: &[(&str, &str)], arguments: &[&str]) -> Command {
        let mut command = Command::new(programs::path("landfall"));
        command
            .args(arguments)
            .env_clear()
            .env("REDIS_URL", self.redis.url())
            .env("DATABASE_URL", &self.database_url)
            .env("FILES_URL", files_url(&self.folder))
            .env("OPENAI_WEBHOOK_SECRET", SECRET)
            .envs(settings.iter().copied());
        command
    }

    /// The settings REDIS_URL, DATABASE_URL and FILES_URL.
    pub(crate) fn stores(&self) -> [String; 3] {
        [self.redis.url(), self.database_url.clone(), files_url(&self.folder)]
    }

    /// `landfall show ID --json`: the object's record.
    pub(crate) fn show(&self, id: &str) -> Value {
        let output = self.landfall(&["show", id, "--json"]);
        assert!(output.status.success(), "show {id}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Opens the store with the worker's settings.
    pub(crate) async fn store(&self) -> Store {
        let config = StoreConfig {
            database_url: self.database_url.clone().into(),
            files_url: files_url(&self.folder),
            s3: S3Config::default(),
        };
        Store::open(&config).await.unwrap()
    }

    /// `/metrics` of one of the programs.
    pub(crate) async fn metrics(&self, program: &Program) -> String {
        let addr = wait::until_blocking("the admin port", || {
            let line = program.log().into_iter().find(|line| line.contains("\"admin.addr\""))?;
            Some(log_field(&line, "admin.addr"))
        });
        let answer = self.http.get(format!("http://{addr}/metrics")).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// `/readyz` of one of the programs: status and body, if it responds.
    pub(crate) async fn readyz(&self, program: &Program) -> Option<(u16, String)> {
        let line = program.log().into_iter().find(|line| line.contains("\"admin.addr\""))?;
        let url = format!("http://{}/readyz", log_field(&line, "admin.addr"));
        let answer = self.http.get(url).send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }

    /// Waits for a line in a program's metrics with this prefix and suffix.
    pub(crate) async fn metric_of(&self, program: &Program, begins: &str, ends: &str) {
        let shown = async || {
            let metrics = self.metrics(program).await;
            metrics.lines().any(|line| line.starts_with(begins) && line.ends_with(ends)).then_some(())
        };
        wait::until(&format!("{begins}…{ends}"), shown).await;
    }

    /// Runs a Redis command, given as words separated by blanks.
    pub(crate) async fn redis_command(&self, words: &str) {
        let client = redis::Client::open(self.redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut command = redis::Cmd::new();
        for word in words.split(' ') {
            command.arg(word);
        }
        command.query_async::<()>(&mut connection).await.unwrap();
    }

    /// Waits for a line in the first worker's metrics.
    pub(crate) async fn metric(&self, line: &str) {
        let has_line = |metrics: String| metrics.lines().any(|found| found == line).then_some(());
        let shown = async || has_line(self.metrics(&self.workers[0]).await);
        wait::until(line, shown).await;
    }

    /// The only record with this id, excluding events.
    pub(crate) async fn found(&self, id: &str) -> Found {
        let found = self.store().await.find(id).await.unwrap();
        found.into_iter().find(|found| !matches!(found, Found::Event(_))).unwrap()
    }

    /// All rows of a batch, those of the output file first.
    pub(crate) async fn rows(&self, batch_id: &str) -> Vec<ResultRow> {
        let filter = ResultFilter::of("default", batch_id, 1_000_000);
        self.store().await.batch_results(&filter).await.unwrap()
    }

    /// `DATABASE_URL` of the workers.
    pub(crate) fn database_url(&self) -> &str {
        &self.database_url
    }

    /// The folder with the raw files and the SQLite database.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The path of a raw file.
    pub(crate) fn file(&self, object_id: &str, file_id: &str) -> PathBuf {
        self.folder.path().join("files").join("default").join(object_id).join(file_id)
    }

    /// The content of a raw file of the default project, wherever `FILES_URL` is.
    pub(crate) fn stored_file(&self, object_id: &str, file_id: &str) -> Vec<u8> {
        let files = self.worker_settings.iter().rev().find(|(name, _)| name == "FILES_URL");
        let (_, files) = files.unwrap();
        std::fs::read(Path::new(files).join("default").join(object_id).join(file_id)).unwrap()
    }

    /// The custom ids of all of a batch's rows, sorted.
    pub(crate) async fn custom_ids(&self, batch_id: &str) -> Vec<String> {
        let filter = ResultFilter::of("default", batch_id, 1_000_000);
        let rows = self.store().await.batch_results(&filter).await.unwrap();
        let mut ids: Vec<String> = rows.into_iter().map(|row| row.custom_id.unwrap()).collect();
        ids.sort_unstable();
        ids
    }

    /// The event's row, if there is one.
    pub(crate) async fn event(&self, webhook_id: &str) -> Option<EventRow> {
        let events = self
            .store()
            .await
            .list_events(&EventFilter { limit: 1000, ..EventFilter::default() })
            .await
            .unwrap();
        events.into_iter().find(|event| event.webhook_id == webhook_id).map(EventRow::of)
    }

    /// Waits until the event's row has this state.
    pub(crate) async fn event_when(
        &self,
        webhook_id: &str,
        condition: impl Fn(&EventRow) -> bool,
    ) -> EventRow {
        wait::until("the event's row", async || self.event(webhook_id).await.filter(&condition)).await
    }
}

fn files_url(folder: &TempDir) -> String {
    folder.path().join("files").display().to_string()
}

/// One field of a JSON log line.
pub(crate) fn log_field(line: &str, field: &str) -> String {
    let line: Value = serde_json::from_str(line).unwrap();
    line[field].as_str().unwrap().to_owned()
}
