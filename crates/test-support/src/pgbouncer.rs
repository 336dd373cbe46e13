//! A disposable PgBouncer in transaction mode with default settings: each transaction may use another server connection,
//! which is not reset between clients.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::postgres::{PostgresServer, Reaper, chown_to_server_user, unprivileged};
use crate::wait;

/// The port in the name of its socket.
const PORT: u16 = 6432;
/// Where Debian installs it, which may not be in `PATH`.
const PROGRAMS: [&str; 2] = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"];

/// A pooler. Stopped when dropped.
pub struct PgBouncer {
    folder: PathBuf,
    child: Child,
    /// Declared after the process that it waits for.
    _reaper: Reaper,
}

impl PgBouncer {
    /// Starts a pooler for all databases of a server, with at most `connections_max` connections to each.
    pub fn start(server: &PostgresServer, connections_max: u32) -> Self {
        let folder = tempfile::Builder::new().prefix("landfall-pgbouncer-").tempdir();
        let folder = folder.map(TempDir::keep).expect("a temporary folder can be created");
        let reaper = Reaper::of(&folder, "pid");
        chown_to_server_user(&folder);
        let of = |name: &str| folder.join(name).display().to_string();
        let config = format!(
            "[databases]\n* = host={} port=5432\n[pgbouncer]\nlisten_port = {PORT}\nunix_socket_dir = {}\n\
             auth_type = trust\nauth_file = {}\npidfile = {}\npool_mode = transaction\n\
             default_pool_size = {connections_max}\nmax_client_conn = 1000\nserver_idle_timeout = 2\n",
            server.folder().display(),
            folder.display(),
            of("users"),
            of("pid"),
        );
        fs::write(of("config"), config).expect("the folder can be written");
        fs::write(of("users"), "\"postgres\" \"\"\n").expect("the folder can be written");
        let log = File::create(of("log")).expect("the folder can be written");
        let path = PROGRAMS.iter().map(PathBuf::from).find(|path| path.exists());
        let child = unprivileged(path.unwrap_or_else(|| PathBuf::from("pgbouncer")))
            .arg(of("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("pgbouncer is installed (scripts/test installs it)");
        let pooler = Self { folder, child, _reaper: reaper };
        wait::until_blocking("pgbouncer to answer", || pooler.psql("postgres", "SELECT 1").ok());
        pooler
    }

    /// The pooler for the server that all tests of this binary share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PgBouncer> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(PostgresServer::shared(), 5))
    }

    /// The URL of a database through the pooler, as docs/settings.md documents it.
    pub fn url(&self, database: &str) -> String {
        let folder = self.folder.display();
        format!("postgres://postgres@localhost:{PORT}/{database}?host={folder}&statement-cache-capacity=0")
    }

    /// Runs statements as another client of the pooler and returns their result as text.
    ///
    /// # Errors
    /// The error output of psql.
    pub fn psql(&self, database: &str, statements: &str) -> Result<String, String> {
        let mut psql = Command::new("psql");
        psql.args(["-qXAt", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-c", statements]);
        psql.args(["-p", &PORT.to_string(), "-h"]).arg(&self.folder);
        let done = psql.output().expect("psql is installed (scripts/test installs it)");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
    }

    /// The folder with its socket and log.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
