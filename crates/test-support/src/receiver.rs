//! A notification target for tests: an HTTP server that records requests and sends scripted responses.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::wait;

const HEAD_BYTES_MAX: usize = 64 << 10;

/// A received request.
#[derive(Debug, Clone)]
pub struct Received {
    pub head: String,
    pub body: Vec<u8>,
    pub at: Instant,
}

/// How the server responds to a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Sends this status (`200 OK`), additional header lines (each ending in `\r\n`), and body.
    Answer { status: &'static str, headers: String, body: String },
    /// Sends nothing, and keeps the connection open until the client disconnects.
    Stall,
    /// Sends the response head, then one byte of the body at a time, endlessly.
    Dribble,
    /// Closes the connection without a response.
    HangUp,
}

impl Reply {
    /// 200 without a body.
    pub fn ok() -> Self {
        Self::status("200 OK")
    }

    /// A status without a body.
    pub fn status(status: &'static str) -> Self {
        Self::Answer { status, headers: String::new(), body: String::new() }
    }
}

type Script = Arc<dyn Fn(&Received) -> Reply + Send + Sync>;

/// A server on a free port. Stops when dropped.
pub struct Receiver {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    received: Arc<Mutex<Vec<Received>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Received {
    /// The value of a header; its name is case-insensitive.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The id of the notification.
    ///
    /// # Panics
    /// If the request has no id.
    pub fn id(&self) -> &str {
        self.header(webhook::HEADER_ID).expect("a notification has an id")
    }
}

impl Receiver {
    /// Starts a server that responds with `script`. It closes the connection after each response.
    pub async fn start(script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 0), script).await
    }

    /// The same on a given address.
    pub async fn start_at(
        address: SocketAddr,
        script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.expect("the address is free");
        let address = listener.local_addr().expect("it is bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let received = Arc::new(Mutex::new(Vec::new()));
        let (opened, seen, script) = (Arc::clone(&connections), Arc::clone(&received), Arc::new(script));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                opened.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&script) as Script, Arc::clone(&seen)));
            }
        });
        Self { address, connections, received, task }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// How many connections have been opened.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().expect("no test panics while it holds the lock").clone()
    }

    /// Waits until there are `count` requests, and returns all.
    ///
    /// # Panics
    /// On timeout.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        wait::until(&format!("{count} requests"), || async {
            let received = self.received();
            (received.len() >= count).then_some(received)
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, script: Script, seen: Arc<Mutex<Vec<Received>>>) {
    let Some(received) = read(&mut stream).await else { return };
    let reply = script(&received);
    seen.lock().expect("no test panics while it holds the lock").push(received);
    match reply {
        Reply::Answer { status, headers, body } => {
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            // The client may have disconnected on purpose.
            if stream.write_all(answer.as_bytes()).await.is_ok() {
                let _ = stream.shutdown().await;
            }
        }
        Reply::Stall => {
            let _ = stream.read(&mut [0]).await;
        }
        Reply::Dribble => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await;
            while stream.write_all(b".").await.is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
        Reply::HangUp => {}
    }
}

/// Reads one request; `None` if the client disconnects before it is complete.
async fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if bytes.len() > HEAD_BYTES_MAX || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut received = Received { head, body: bytes.split_off(end), at: Instant::now() };
    let length: usize = received.header("content-length").unwrap_or("0").parse().ok()?;
    while received.body.len() < length {
        if stream.read_buf(&mut received.body).await.ok()? == 0 {
            return None;
        }
    }
    Some(received)
}
