//! A running fake and two clients: reqwest, and a bare socket that shows every byte.

use std::time::Duration;

use fake_openai::{FakeConfig, FakeOpenAi};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) struct Client {
    pub(crate) fake: FakeOpenAi,
    pub(crate) http: reqwest::Client,
}

/// A response as received, complete or not.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

impl Wire {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.headers.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn content_length(&self) -> usize {
        self.header("content-length").unwrap().parse().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) fn http() -> reqwest::Client {
    service::install_crypto_provider();
    reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap()
}

impl Client {
    pub(crate) async fn new() -> Self {
        Self::with(FakeConfig::default()).await
    }

    pub(crate) async fn with(config: FakeConfig) -> Self {
        let fake = FakeOpenAi::start(config).await.unwrap();
        Self { fake, http: http() }
    }

    /// `path` is the part after `/v1`.
    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        let url = format!("{}{path}", self.fake.base_url());
        self.http.get(url).send().await.unwrap()
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        self.get(path).await.json().await.unwrap()
    }

    pub(crate) async fn status(&self, path: &str) -> u16 {
        self.get(path).await.status().as_u16()
    }

    /// All pages of a list.
    pub(crate) async fn pages(&self, path: &str, limit: usize) -> Vec<Vec<Value>> {
        let mut pages = Vec::new();
        let mut after = String::new();
        loop {
            let joint = if path.contains('?') { '&' } else { '?' };
            let page = self.json(&format!("{path}{joint}limit={limit}&after={after}")).await;
            assert_eq!(page["object"], "list", "{page}");
            let data = page["data"].as_array().unwrap().clone();
            assert!(data.len() <= limit);
            let more = page["has_more"].as_bool().unwrap();
            if let Some(last) = data.last() {
                last["id"].as_str().unwrap().clone_into(&mut after);
            }
            pages.push(data);
            if !more {
                return pages;
            }
            assert!(pages.len() < 1000, "{path} does not end");
        }
    }

    /// Sends a GET over a bare socket, which closes after the response.
    pub(crate) async fn open(&self, path: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.fake.addr()).await.unwrap();
        let request = format!("GET /v1{path} HTTP/1.1\r\nhost: fake\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        socket
    }

    /// The whole response, byte for byte.
    pub(crate) async fn wire(&self, path: &str) -> Wire {
        let mut socket = self.open(path).await;
        let mut bytes = Vec::new();
        // A reset connection shows as missing bytes.
        socket.read_to_end(&mut bytes).await.ok();
        parse(&bytes)
    }
}

/// Reads from the socket until `enough` returns true.
pub(crate) async fn read_until(socket: &mut TcpStream, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !enough(&bytes) {
        let count = socket.read_buf(&mut bytes).await.unwrap();
        assert!(count > 0, "the connection was closed after {:?}", String::from_utf8_lossy(&bytes));
    }
    bytes
}

pub(crate) fn parse(bytes: &[u8]) -> Wire {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let headers = String::from_utf8(bytes[..end].to_vec()).unwrap();
    Wire {
        status: headers.split(' ').nth(1).unwrap().parse().unwrap(),
        headers,
        body: bytes[end + 4..].to_vec(),
    }
}
