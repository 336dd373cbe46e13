//! A fake ingest: responds to each request by a rule, and records the requests.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use test_support::signed_webhook::{SECRET, now_secs};
use webhook::Verifier;

/// A recorded request.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    /// The status that ingest would return.
    pub(crate) fn expected_status(&self) -> u16 {
        let verifier = Verifier::from_setting(SECRET).unwrap();
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        if verifier.verify(headers, &self.body, now_secs()).is_ok() { 200 } else { 400 }
    }

    pub(crate) fn webhook_id(&self) -> &str {
        &self.headers["webhook-id"]
    }
}

/// The server; its threads end with the test's process.
pub(crate) struct FakeIngest {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl FakeIngest {
    /// Verifies the signature, as ingest does.
    pub(crate) fn start() -> Self {
        Self::answering(|_, received| received.expected_status())
    }

    /// Responds by a rule that takes the number of the request, from 0, and the request.
    pub(crate) fn answering(rule: impl Fn(usize, &Received) -> u16 + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/openai/webhook", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let (kept, rule) = (Arc::clone(&received), Arc::new(rule));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (kept, rule) = (Arc::clone(&kept), Arc::clone(&rule));
                std::thread::spawn(move || serve(&stream.unwrap(), &kept, rule.as_ref()));
            }
        });
        Self { url, received }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

/// Serves the requests of one connection until it is closed.
fn serve(
    stream: &TcpStream,
    kept: &Mutex<Vec<Received>>,
    rule: &(dyn Fn(usize, &Received) -> u16 + Send + Sync),
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers["content-length"].parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        let received = Received { headers, body };
        let status = {
            let mut kept = kept.lock().unwrap();
            kept.push(received.clone());
            rule(kept.len() - 1, &received)
        };
        let answer = format!("HTTP/1.1 {status} -\r\nlocation: /elsewhere\r\ncontent-length: 2\r\n\r\n{{}}");
        (&mut &*stream).write_all(answer.as_bytes()).ok()?;
    }
}
