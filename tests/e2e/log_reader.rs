//! A log reader that stalls costs log lines, which are counted. It costs no webhook, no result and no clean shutdown.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use futures_util::StreamExt as _;
use serde_json::Value;
use test_support::redis::RedisServer;
use test_support::signed_webhook::{SECRET, SignedWebhook};
use test_support::{programs, wait};

use crate::harness::{API_KEY, Landfall};

const DROPPED: &str = "landfall_log_lines_dropped_total";
/// Webhooks posted concurrently.
const AT_ONCE: usize = 64;
const ROUND: usize = 1000;

/// A program whose log is read only on demand.
struct Unread {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Unread {
    fn start(program: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(programs::path(program));
        command.env_clear().env("LOG_FORMAT", "json").envs(settings.iter().copied());
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// Reads the log up to the line with this field, and returns its value.
    fn read_to(&mut self, field: &str) -> Value {
        loop {
            let mut line = String::new();
            assert!(
                self.log.read_line(&mut line).unwrap() > 0,
                "the program exited before it logged {field}"
            );
            let line: Value = serde_json::from_str(&line).unwrap();
            if let Some(value) = line.get(field) {
                return value.clone();
            }
        }
    }

    fn stop(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        wait::until_blocking("the program to exit", || self.child.try_wait().unwrap())
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

struct UnreadIngest {
    program: Unread,
    url: String,
    admin: String,
    http: reqwest::Client,
    _redis: RedisServer,
}

impl UnreadIngest {
    fn start() -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let redis = RedisServer::start();
        let mut program = Unread::start(
            "ingest",
            &[
                ("OPENAI_WEBHOOK_SECRET", SECRET),
                ("REDIS_URL", &redis.url()),
                ("INGEST_ADDR", "127.0.0.1:0"),
                ("ADMIN_ADDR", "127.0.0.1:0"),
            ],
        );
        // In the order in which they are logged.
        let mut address = |field| program.read_to(field).as_str().unwrap().to_owned();
        let admin = address("admin.addr");
        let url = format!("http://{}/openai/webhook", address("ingest.addr"));
        Self { program, url, admin, http: reqwest::Client::builder().build().unwrap(), _redis: redis }
    }

    async fn post(&self, webhook: &SignedWebhook) -> u16 {
        let mut request = self.http.post(&self.url).body(webhook.body.clone());
        for (name, value) in webhook.headers() {
            request = request.header(name, value);
        }
        request.send().await.unwrap().status().as_u16()
    }

    async fn webhooks_are_answered(&self, count: usize) {
        let posts = (0..count).map(|_| async {
            let webhook = SignedWebhook::new("video.completed", "video_1");
            // On a busy machine a request may be slow to arrive; OpenAI sends it again too.
            loop {
                let status = self.post(&webhook).await;
                if status != 408 {
                    return status;
                }
            }
        });
        let answers: Vec<u16> = futures_util::stream::iter(posts).buffer_unordered(AT_ONCE).collect().await;
        assert!(answers.iter().all(|&status| status == 200), "{answers:?}");
    }

    async fn dropped(&self) -> u64 {
        let answer = self.http.get(format!("http://{}/metrics", self.admin)).send().await.unwrap();
        let metrics = answer.text().await.unwrap();
        let sample = metrics.lines().find_map(|line| line.strip_prefix(DROPPED)?.strip_prefix(' '));
        sample.unwrap().parse().unwrap()
    }

    /// Sends webhooks until both the pipe and the log buffer are full.
    async fn fill_the_log(&self) {
        wait::until("a line to be dropped", async || {
            self.webhooks_are_answered(ROUND).await;
            (self.dropped().await > 0).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_reader_that_stands_still_keeps_ingest_neither_from_receiving_nor_from_ending() {
    let mut ingest = UnreadIngest::start();
    ingest.fill_the_log().await;
    let before = ingest.dropped().await;
    ingest.webhooks_are_answered(ROUND).await;
    assert!(ingest.dropped().await >= before + ROUND as u64, "a dropped line was not counted");
    assert!(ingest.program.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_reader_that_goes_on_is_told_once_how_many_lines_it_missed() {
    let mut ingest = UnreadIngest::start();
    ingest.fill_the_log().await;
    let dropped = ingest.dropped().await;
    assert_eq!(ingest.program.read_to("log.lines_dropped"), dropped);
    assert_eq!(ingest.dropped().await, dropped);
    ingest.webhooks_are_answered(1).await;
    // The pipe has room for these few lines.
    assert!(ingest.program.stop().success());
    let mut rest = String::new();
    ingest.program.log.read_to_string(&mut rest).unwrap();
    assert!(rest.contains(r#""outcome":"accepted""#) && rest.contains("SIGTERM"), "{rest}");
    assert!(!rest.contains("log.lines_dropped"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_reader_that_stands_still_keeps_a_worker_neither_from_storing_nor_from_ending() {
    let landfall = Landfall::start_with(0, &[]).await;
    let files = landfall.folder().join("files").display().to_string();
    let mut worker = Unread::start(
        "worker",
        &[
            ("REDIS_URL", &landfall.redis.url()),
            ("DATABASE_URL", landfall.database_url()),
            ("FILES_URL", &files),
            ("OPENAI_BASE_URL", &landfall.fake.base_url()),
            ("OPENAI_API_KEY", API_KEY),
            ("ADMIN_ADDR", "127.0.0.1:0"),
            ("MIN_FREE_BYTES", "1MiB"),
        ],
    );
    worker.read_to("admin.addr");
    // Far more lines than the pipe and the log buffer can hold.
    let sent = (0..ROUND).map(|_| landfall.send("video.completed", "video_1"));
    futures_util::stream::iter(sent).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    landfall.settled().await;
    assert!(worker.stop().success());
    let mut log = String::new();
    worker.log.read_to_string(&mut log).unwrap();
    let lines = log.matches(r#""outcome":"stored""#).count();
    assert!(lines < ROUND, "the log did not stall: {lines} lines");
}
