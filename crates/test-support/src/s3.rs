//! A disposable S3 server (moto, from PyPI) with one bucket. `scripts/test` installs it into the target folder.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::wait;

/// The bucket that exists from the start.
pub const BUCKET: &str = "landfall-test";

/// A server on a free port with its objects in memory. Stopped when dropped.
pub struct S3Server {
    child: Child,
    /// `127.0.0.1:PORT`
    addr: String,
}

impl S3Server {
    /// Starts the server and creates the bucket.
    ///
    /// # Panics
    /// If it is not installed.
    pub fn start() -> Self {
        let mut child = Command::new(program())
            .args(["-H", "127.0.0.1", "-p", "0"])
            .env_clear()
            .env("PATH", env!("PATH"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the S3 server can be started");
        let mut lines = BufReader::new(child.stderr.take().expect("its stderr is a pipe")).lines();
        let running = lines.by_ref().find_map(|line| {
            let line = line.ok()?;
            line.split_once("Running on http://").map(|(_, addr)| addr.trim().to_owned())
        });
        // It logs every request; the pipe must be drained.
        std::thread::spawn(move || lines.for_each(drop));
        let server = Self { child, addr: running.expect("the S3 server logs its address") };
        server.put_bucket(BUCKET);
        server
    }

    /// The value for `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The settings to use the server, with a prefix in `FILES_URL`.
    pub fn settings(&self) -> [(&'static str, String); 5] {
        [
            ("FILES_URL", format!("s3://{BUCKET}/raw/files")),
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_REGION", "eu-north-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "AKIATEST".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret-of-the-bucket".to_owned()),
        ]
    }

    pub fn put_bucket(&self, name: &str) {
        let answer = self.request("PUT", &format!("/{name}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    pub fn delete_bucket(&self, name: &str) {
        let answer = self.request("DELETE", &format!("/{name}"));
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    }

    /// The keys of all objects in the bucket, sorted.
    pub fn keys(&self) -> Vec<String> {
        between(&self.request("GET", &format!("/{BUCKET}?list-type=2")), "Key")
    }

    /// The keys of uploads that were neither completed nor aborted.
    pub fn unfinished(&self) -> Vec<String> {
        between(&self.request("GET", &format!("/{BUCKET}?uploads")), "Key")
    }

    /// Kills the server. Its objects are lost.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    fn request(&self, method: &str, target: &str) -> String {
        let mut stream = TcpStream::connect(&self.addr).expect("the S3 server listens");
        stream.set_read_timeout(Some(wait::DEADLINE)).ok();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            self.addr
        );
        stream.write_all(request.as_bytes()).expect("the S3 server reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the S3 server responds with text");
        answer
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `scripts/test` installs it into the target folder.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("the path of the test is known");
    let target = test.ancestors().nth(3).expect("tests are in target/<profile>/deps");
    let path = target.join("s3-venv/bin/moto_server");
    assert!(path.exists(), "{} is not installed: run scripts/test once", path.display());
    path
}

fn between(xml: &str, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let values = xml.split(&open).skip(1).filter_map(|rest| rest.split_once(&close));
    let mut values: Vec<String> = values.map(|(value, _)| value.to_owned()).collect();
    values.sort_unstable();
    values
}
