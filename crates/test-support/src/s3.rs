//! A disposable server that speaks S3 (moto, from PyPI), with one bucket. `scripts/test` installs it into the target
//! folder.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::wait;

/// The bucket that is there from the start.
pub const BUCKET: &str = "landfall-test";

/// A server on a free port that holds its objects in memory. Stopped when dropped.
pub struct S3Server {
    child: Child,
    /// `127.0.0.1:PORT`
    addr: String,
}

impl S3Server {
    /// Starts it, and makes the bucket.
    ///
    /// # Panics
    /// When it is not installed.
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
        // It logs every request: somebody must read that.
        std::thread::spawn(move || lines.for_each(drop));
        let server = Self { child, addr: running.expect("the S3 server says where it listens") };
        server.put_bucket(BUCKET);
        server
    }

    /// What `AWS_ENDPOINT_URL` is to be.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Names and values of the settings that lead to it, `FILES_URL` with a prefix.
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
        let answer = self.ask("PUT", &format!("/{name}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    pub fn delete_bucket(&self, name: &str) {
        let answer = self.ask("DELETE", &format!("/{name}"));
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    }

    /// The keys of all objects in the bucket, sorted.
    pub fn keys(&self) -> Vec<String> {
        between(&self.ask("GET", &format!("/{BUCKET}?list-type=2")), "Key")
    }

    /// The keys of uploads that were begun and neither completed nor aborted.
    pub fn unfinished(&self) -> Vec<String> {
        between(&self.ask("GET", &format!("/{BUCKET}?uploads")), "Key")
    }

    /// Kills the server; what it held is gone.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    fn ask(&self, method: &str, target: &str) -> String {
        let mut stream = TcpStream::connect(&self.addr).expect("the S3 server listens");
        stream.set_read_timeout(Some(wait::DEADLINE)).ok();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            self.addr
        );
        stream.write_all(request.as_bytes()).expect("the S3 server reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the S3 server answers in text");
        answer
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `scripts/test` puts it beside the profiles' folders.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let target = test.ancestors().nth(3).expect("tests lie in target/<profile>/deps");
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
