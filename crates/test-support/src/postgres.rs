//! A disposable PostgreSQL server from Debian's package, in a temporary folder, without a TCP port unless requested.
//! Either shared by all tests of a binary, with one database each, or owned by a test, which may kill it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::redis::free_port;
use crate::wait;

/// Users to run the server as if the tests run as root, because PostgreSQL refuses to run as root.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];
/// Stops the server and removes its folder when the tests have ended, even by a crash: its stdin then closes. After a
/// SIGKILL, child processes of the server still write for a moment.
const REAPER: &str = r#"cat; pid=$(head -n 1 "$1/$2" 2>/dev/null) && kill -QUIT "$pid" 2>/dev/null
while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
for _ in $(seq 100); do rm -rf "$1" && break; sleep 0.1; done"#;

/// A server. Stopped when dropped.
pub struct PostgresServer {
    folder: PathBuf,
    /// The port of the socket, and of TCP if it is enabled.
    port: u16,
    arguments: Vec<String>,
    child: Option<Child>,
    /// Declared after the process that it waits for.
    _reaper: Reaper,
}

impl PostgresServer {
    /// A server with PostgreSQL's default durability.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server with additional arguments for `postgres`, such as `-c` and a setting.
    pub fn start_with(arguments: &[&str]) -> Self {
        let mut server = Self::init(5432, arguments);
        server.resume();
        server
    }

    /// A server that also listens on the IPv6 loopback address.
    pub fn start_with_ipv6() -> Self {
        let mut server = Self::init(free_port(), &["-c", "listen_addresses=::1"]);
        server.resume();
        server
    }

    /// The TCP port of the server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A server that also listens on TCP with TLS, and a self-signed certificate for `localhost`.
    pub fn start_with_tls() -> Self {
        let port = free_port();
        let mut server = Self::init(port, &["-c", "listen_addresses=127.0.0.1", "-c", "ssl=on"]);
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args([
                "-addext",
                "subjectAltName=DNS:localhost",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
            ])
            .args(["-keyout", "data/server.key", "-out", "data/server.crt"])
            .current_dir(&server.folder)
            .output()
            .expect("openssl is installed (PostgreSQL's package needs it)");
        assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
        for file in ["data/server.key", "data/server.crt"] {
            chown_to_server_user(&server.folder.join(file));
        }
        server.resume();
        server
    }

    /// The URL of a database through TCP, and the path of the certificate to trust.
    pub fn tls_url(&self, database: &str) -> (String, PathBuf) {
        let url = format!("postgres://postgres@localhost:{}/{database}", self.port);
        (url, self.folder.join("data/server.crt"))
    }

    fn init(port: u16, arguments: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("landfall-pg-").tempdir();
        let folder = folder.map(TempDir::keep).expect("a temporary folder can be created");
        let reaper = Reaper::of(&folder, "data/postmaster.pid");
        chown_to_server_user(&folder);
        let made = program("initdb")
            .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"])
            .arg("--pgdata")
            .arg(folder.join("data"))
            .output()
            .expect("initdb is installed (scripts/test installs it)");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self { folder, port, arguments, child: None, _reaper: reaper }
    }

    /// The server that all tests of this binary share. It is not durable, which makes it fast.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        let not_durable = ["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=600"];
        SHARED.get_or_init(|| Self::start_with(&not_durable))
    }

    /// Creates a database for the caller only. Returns its URL.
    pub fn database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The URL of a database through the server's socket.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost:{}/{database}?host={}", self.port, self.folder.display())
    }

    /// Runs a statement with psql and returns its result as text.
    ///
    /// # Panics
    /// If the statement fails.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let done = self.psql(database, statement);
        assert!(done.status.success(), "{statement}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim_end().to_owned()
    }

    fn psql(&self, database: &str, statement: &str) -> std::process::Output {
        let mut psql = Command::new("psql");
        psql.args(["-qXAt", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-c", statement]);
        psql.args(["-p", &self.port.to_string(), "-h"]).arg(&self.folder);
        psql.output().expect("psql is installed (scripts/test installs it)")
    }

    /// The folder with its data, socket and log.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Kills the server with SIGKILL, like a crash. Its data is kept.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Stops the server in fast mode (SIGINT), without waiting for its clients.
    pub fn stop(&mut self) {
        let mut child = self.child.take().expect("the server is running");
        let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -INT failed");
        wait::until_blocking("postgres to exit", || child.try_wait().ok().flatten());
    }

    /// Restarts the server with the same data, and waits until it accepts connections.
    pub fn resume(&mut self) {
        assert!(self.child.is_none(), "the server is running");
        self.child = Some(self.spawn());
        wait::until_blocking("postgres to accept connections", || {
            // After a SIGKILL, old child processes may still run, and the new server refuses to start.
            if self.child.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|ended| ended.is_some())) {
                self.child = Some(self.spawn());
            }
            self.psql("postgres", "SELECT 1").status.success().then_some(())
        });
    }

    fn spawn(&self) -> Child {
        let log = fs::File::options().create(true).append(true).open(self.folder.join("log"));
        let log = log.expect("the folder can be written");
        program("postgres")
            .arg("-D")
            .arg(self.folder.join("data"))
            .arg("-k")
            .arg(&self.folder)
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses="])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("postgres is installed (scripts/test installs it)")
    }

    /// The server's log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A process that cleans up after the tests have ended.
pub(crate) struct Reaper(Child);

impl Reaper {
    pub(crate) fn of(folder: &Path, pid_file: &str) -> Self {
        let child = Command::new("bash")
            .args(["-c", REAPER, "reaper"])
            .arg(folder)
            .arg(pid_file)
            // A signal to the tests' process group must not reach this process.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("bash is installed"))
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().ok();
    }
}

struct User {
    name: &'static str,
    uid: u32,
    gid: u32,
}

/// The user to run the server as; `None` if the tests do not run as root.
fn other_user() -> Option<User> {
    if fs::metadata("/proc/self").expect("Linux has /proc").uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd is readable");
    let named = |name: &'static str| {
        let line = users.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":"))?;
        let mut ids = line.split(':').skip(1).map(str::parse);
        Some(User { name, uid: ids.next()?.ok()?, gid: ids.next()?.ok()? })
    };
    Some(UNPRIVILEGED.into_iter().find_map(named).expect("there is an unprivileged user"))
}

/// Gives a file or folder to the user that runs the server.
pub(crate) fn chown_to_server_user(path: &Path) {
    if let Some(user) = other_user() {
        chown(path, Some(user.uid), Some(user.gid)).expect("root may change the owner");
    }
}

/// A program of the server, in the newest installed version, run as an unprivileged user.
fn program(name: &str) -> Command {
    unprivileged(installed(name))
}

/// A program that refuses to run as root.
pub(crate) fn unprivileged(path: PathBuf) -> Command {
    match other_user() {
        None => Command::new(path),
        Some(user) => {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid", user.name, "--regid", &user.gid.to_string(), "--clear-groups"])
                .arg(path);
            // The user may not have access to root's working directory.
            command.current_dir("/");
            command
        }
    }
}

/// Debian installs the server outside of `PATH`, in one folder per version.
fn installed(name: &str) -> PathBuf {
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let folders = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = folders.map(|entry| entry.path()).filter(|path| path.join("bin").join(name).exists());
    newest.max_by_key(version).map_or_else(|| PathBuf::from(name), |path| path.join("bin").join(name))
}
