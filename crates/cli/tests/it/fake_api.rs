//! A fake OpenAI API: sends the same response to every request, with a configurable date.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};

use chrono::{TimeDelta, Utc};

/// The response to a valid key.
pub(crate) const LIST: &str = r#"{"object":"list","data":[],"has_more":false}"#;

/// The server; its threads end with the test's process.
pub(crate) struct FakeApi {
    pub(crate) base_url: String,
}

impl FakeApi {
    /// Accepts any key; its clock is correct.
    pub(crate) fn start() -> Self {
        Self::answering("200 OK", LIST, 0)
    }

    /// Sends this response; its clock is `ahead_secs` ahead.
    pub(crate) fn answering(status: &'static str, body: &str, ahead_secs: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let body = body.to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let body = body.clone();
                std::thread::spawn(move || serve(&stream.unwrap(), status, &body, ahead_secs));
            }
        });
        Self { base_url }
    }
}

fn serve(stream: &TcpStream, status: &str, body: &str, ahead_secs: i64) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        if line.trim_end().is_empty() {
            break;
        }
    }
    let date = (Utc::now() + TimeDelta::seconds(ahead_secs)).format("%a, %d %b %Y %H:%M:%S GMT");
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ndate: {date}\r\nlocation: http://example.com/\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
    (&mut &*stream).write_all(answer.as_bytes()).ok()
}
