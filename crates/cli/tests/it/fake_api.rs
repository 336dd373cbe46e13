//! A fake OpenAI API: sends chosen responses, with a configurable date.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use chrono::{TimeDelta, Utc};

/// The response to a valid key.
const LIST: &str = r#"{"object":"list","data":[],"has_more":false}"#;
const NOT_FOUND: &str = r#"{"error":{"message":"not found","type":"invalid_request_error"}}"#;

/// Status and body for a request line.
type Script = dyn Fn(&str) -> (&'static str, String) + Send + Sync;

/// The server; its threads end with the test's process.
pub(crate) struct FakeApi {
    pub(crate) base_url: String,
}

impl FakeApi {
    /// Accepts any key, has no objects; its clock is correct.
    pub(crate) fn start() -> Self {
        Self::with_clock(0)
    }

    /// The same; its clock is `ahead_secs` ahead.
    pub(crate) fn with_clock(ahead_secs: i64) -> Self {
        Self::scripted(ahead_secs, Arc::new(empty))
    }

    /// Like `start`, but sends this status to requests whose path contains one of these texts.
    pub(crate) fn refusing(paths: &'static [&'static str], status: &'static str) -> Self {
        let script = move |line: &str| match paths.iter().any(|path| line.contains(path)) {
            true => (status, NOT_FOUND.to_owned()),
            false => empty(line),
        };
        Self::scripted(0, Arc::new(script))
    }

    /// Sends this response to every request; its clock is `ahead_secs` ahead.
    pub(crate) fn answering(status: &'static str, body: &str, ahead_secs: i64) -> Self {
        let body = body.to_owned();
        Self::scripted(ahead_secs, Arc::new(move |_| (status, body.clone())))
    }

    fn scripted(ahead_secs: i64, script: Arc<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let script = Arc::clone(&script);
                std::thread::spawn(move || serve(&stream.unwrap(), &*script, ahead_secs));
            }
        });
        Self { base_url }
    }
}

fn empty(line: &str) -> (&'static str, String) {
    match line.starts_with("GET /v1/batches?") {
        true => ("200 OK", LIST.to_owned()),
        false => ("404 Not Found", NOT_FOUND.to_owned()),
    }
}

fn serve(stream: &TcpStream, script: &Script, ahead_secs: i64) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|bytes| *bytes > 0)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        if line.trim_end().is_empty() {
            break;
        }
    }
    let (status, body) = script(&first);
    let date = (Utc::now() + TimeDelta::seconds(ahead_secs)).format("%a, %d %b %Y %H:%M:%S GMT");
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ndate: {date}\r\nlocation: http://example.com/\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
    (&mut &*stream).write_all(answer.as_bytes()).ok()
}
