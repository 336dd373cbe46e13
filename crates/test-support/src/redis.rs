//! A disposable `redis-server` (or `valkey-server`), which a test may kill and restart.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::wait;

/// A server on a free port with its data in a temporary folder. Stopped when dropped.
pub struct RedisServer {
    program: String,
    port: u16,
    folder: TempDir,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts a server with the durability that Landfall requires: AOF, fsync always, no eviction.
    pub fn start() -> Self {
        Self::start_with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// Starts a server with additional arguments for `redis-server`.
    pub fn start_with(arguments: &[&str]) -> Self {
        Self::start_program("redis-server", arguments)
    }

    /// Starts another server program, such as `valkey-server`.
    pub fn start_program(program: &str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&a| a.to_owned()).collect();
        let folder = tempfile::tempdir().expect("a temporary folder can be created");
        let mut server =
            Self { program: program.to_owned(), port: free_port(), folder, arguments, child: None };
        server.resume();
        server
    }

    /// Changes the arguments for the next start.
    pub fn set_arguments(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(|&a| a.to_owned()).collect();
    }

    /// Whether this server program is installed.
    pub fn is_installed(program: &str) -> bool {
        let mut version = Command::new(program);
        version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    }

    /// The `redis://` URL of the server.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder with its data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills the server with SIGKILL, like a crash. Its data is kept.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Restarts the server with the same port and data, and waits until the data is loaded.
    pub fn resume(&mut self) {
        self.resume_without_waiting();
        wait::until_blocking("redis-server to respond", || self.answers().then_some(()));
    }

    /// The same without waiting: the server may still load its data.
    pub fn resume_without_waiting(&mut self) {
        assert!(self.child.is_none(), "the server is running");
        let child = Command::new(&self.program)
            .args([
                "--port",
                &self.port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--daemonize",
                "no",
            ])
            .args(["--maxmemory-policy", "noeviction", "--dir"])
            .arg(self.folder.path())
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed (scripts/test installs it)");
        self.child = Some(child);
    }

    /// Waits until the server has exited.
    pub fn ended(&mut self) {
        let mut child = self.child.take().expect("the server is running");
        wait::until_blocking("redis-server to exit", || child.try_wait().ok().flatten());
    }

    /// The process id, for signals.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server is running").id()
    }

    fn answers(&self) -> bool {
        use std::io::{Read as _, Write as _};
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let mut answer = [0; 7];
        stream.set_read_timeout(Some(wait::DEADLINE)).ok();
        stream.write_all(b"PING\r\n").is_ok()
            && stream.read_exact(&mut answer).is_ok()
            // A server with a password responds as well.
            && [*b"+PONG\r\n", *b"-NOAUTH"].contains(&answer)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}
