//! An ingest inside the test, its Redis, and an HTTP/1.1 client with control over every byte.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use ingest::{Ingest, Limits, RunError, Settings};
use queue::{Consumer, ConsumerConfig, Entry, QueueConfig};
use secrecy::SecretString;
use test_support::redis::RedisServer;
use test_support::signed_webhook::{SECRET, SignedWebhook};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use webhook::Family;

pub(crate) const PATH: &str = "/openai/webhook";
pub(crate) const RECEIVED: &str = r#"{"received":true}"#;
pub(crate) const INVALID: &str = r#"{"error":"Invalid signature"}"#;

/// Settings from flags alone, with ports chosen by the kernel.
pub(crate) fn settings(flags: &[&str]) -> Settings {
    let fixed = ["ingest", "--ingest-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"];
    let arguments = fixed.iter().chain(flags).map(OsString::from);
    service::settings::try_parse(arguments, |_| None).unwrap()
}

pub(crate) struct TestIngest {
    pub(crate) redis: RedisServer,
    pub(crate) addr: SocketAddr,
    admin_addr: SocketAddr,
    stop: CancellationToken,
    ingest: Option<Ingest>,
}

impl TestIngest {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[], Limits::default()).await
    }

    pub(crate) async fn start_with(flags: &[&str], limits: Limits) -> Self {
        Self::start_on(RedisServer::start(), flags, limits).await
    }

    pub(crate) async fn start_on(redis: RedisServer, flags: &[&str], limits: Limits) -> Self {
        let url = redis.url();
        let mut all = vec!["--redis-url", &url];
        if !flags.contains(&"--openai-webhook-secret") {
            all.extend(["--openai-webhook-secret", SECRET]);
        }
        all.extend(flags);
        let stop = CancellationToken::new();
        let ingest = ingest::start(&settings(&all), limits, stop.clone()).await.unwrap();
        Self { redis, addr: ingest.addr, admin_addr: ingest.admin_addr, stop, ingest: Some(ingest) }
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(self.addr).await
    }

    /// Posts over a new connection.
    pub(crate) async fn post(&self, webhook: &SignedWebhook) -> Response {
        self.ask(&request(webhook)).await
    }

    /// Sends bytes over a new connection.
    pub(crate) async fn ask(&self, request: &[u8]) -> Response {
        let mut connection = self.connect().await;
        connection.send(request).await;
        connection.response().await
    }

    pub(crate) async fn admin(&self, path: &str) -> Response {
        let mut connection = Connection::open(self.admin_addr).await;
        connection.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
        connection.response().await
    }

    /// Receives and acknowledges every undelivered entry of a family.
    pub(crate) async fn take_queued(&self, family: Family) -> Vec<Entry> {
        let config = ConsumerConfig {
            queue: QueueConfig {
                url: SecretString::from(self.redis.url()),
                key_prefix: "landfall".to_owned(),
            },
            family,
            name: "test".to_owned(),
            lease: Duration::from_secs(60),
        };
        let mut consumer = Consumer::connect(config).await.unwrap();
        let mut entries = Vec::new();
        loop {
            let deliveries = consumer.receive_now(100).await.unwrap();
            if deliveries.is_empty() {
                return entries;
            }
            for delivery in deliveries {
                entries.push(Entry::clone(delivery.content.as_ref().unwrap()));
                delivery.ack().await.unwrap();
            }
        }
    }

    /// The number of undelivered entries of all families; acknowledges them.
    pub(crate) async fn count_queued(&self) -> usize {
        let mut count = 0;
        for family in Family::ALL {
            count += self.take_queued(*family).await.len();
        }
        count
    }

    /// Starts the shutdown, as SIGTERM would.
    pub(crate) fn begin_stop(&self) {
        self.stop.cancel();
    }

    pub(crate) async fn ended(&mut self) -> Result<(), RunError> {
        let ingest = self.ingest.take().expect("ended is called once");
        tokio::time::timeout(test_support::wait::DEADLINE, ingest.ended()).await.unwrap()
    }
}

impl Drop for TestIngest {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A `POST` as OpenAI sends it.
pub(crate) fn request(webhook: &SignedWebhook) -> Vec<u8> {
    let mut bytes = head(PATH, &webhook.headers(), &format!("Content-Length: {}", webhook.body.len()));
    bytes.extend_from_slice(&webhook.body);
    bytes
}

/// The head of a `POST` with these headers and this length header.
pub(crate) fn head(path: &str, headers: &[(&str, String)], length: &str) -> Vec<u8> {
    let mut text = format!("POST {path} HTTP/1.1\r\nHost: hooks.example\r\n{length}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// An HTTP/1.1 connection, without TLS by default.
pub(crate) struct Connection<S = TcpStream> {
    stream: S,
    unread: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Asserts the status, the body, and a JSON content type.
    pub(crate) fn expect(&self, status: u16, body: &str) {
        assert_eq!((self.status, self.body.as_str()), (status, body), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
    }
}

impl Connection {
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect(addr).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) const fn over(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends, and returns whether the other side accepted the bytes.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Shuts down the write side only.
    pub(crate) async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// The next response.
    pub(crate) async fn response(&mut self) -> Response {
        tokio::time::timeout(test_support::wait::DEADLINE, self.try_response())
            .await
            .expect("a response in time")
            .expect("a response before the end")
    }

    /// The next response, or `None` if the connection ends first.
    pub(crate) async fn try_response(&mut self) -> Option<Response> {
        loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                let head = String::from_utf8(self.unread[..end].to_vec()).unwrap();
                let mut response =
                    Response { status: head[9..12].parse().unwrap(), head, body: String::new() };
                let length: usize = response.header("content-length").map_or(0, |l| l.parse().unwrap());
                if self.unread.len() >= end + 4 + length {
                    let rest = self.unread.split_off(end + 4 + length);
                    response.body = String::from_utf8(self.unread.split_off(end + 4)).unwrap();
                    self.unread = rest;
                    return Some(response);
                }
            }
            if self.stream.read_buf(&mut self.unread).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Checks that neither a response nor an end of the connection arrives for a while.
    pub(crate) async fn nothing_comes(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(300), self.try_response()).await.is_err()
    }

    /// Waits until the other side closes the connection.
    pub(crate) async fn closed(&mut self) {
        let response = tokio::time::timeout(test_support::wait::DEADLINE, self.try_response());
        assert!(response.await.expect("the end in time").is_none(), "another response arrived");
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
