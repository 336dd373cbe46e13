//! The servers to compare, and how to start each one.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use test_support::redis::{RedisServer, free_port};
use test_support::wait;

pub(crate) const PATH: &str = "/openai/webhook";

/// A server under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// actix-web handler that reads the body and answers 200: the upper bound
    Bare,
    /// The same, and computes the SHA-256 of the body
    BareHash,
    /// Landfall's ingest, with RUST_LOG=warn
    Ingest,
    /// The same with RUST_LOG=info: one log line per event
    IngestInfo,
    /// FastAPI, the official SDK, redis-py
    Fastapi,
    /// Express, the official SDK, ioredis
    Node,
}

/// A running server. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// The Redis stream that it writes to.
    pub(crate) stream: Option<&'static str>,
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare actix",
            Self::BareHash => "bare actix, SHA-256",
            Self::Ingest => "ingest, warn",
            Self::IngestInfo => "ingest, info",
            Self::Fastapi => "FastAPI",
            Self::Node => "Node",
        }
    }

    /// Starts the server. `ingest` gets all secrets, the others only the last one.
    pub(crate) fn start(self, redis: &RedisServer, secrets: &[String]) -> Result<Server> {
        let port = free_port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let last = secrets.last().context("there is no secret")?;
        let mut command = match self {
            Self::Bare => Command::new(built("bare-actix")?),
            Self::BareHash => {
                let mut command = Command::new(built("bare-actix")?);
                command.arg("--hash");
                command
            }
            Self::Ingest | Self::IngestInfo => {
                let mut command = Command::new(built("ingest")?);
                command.env("INGEST_ADDR", address.to_string()).env("ADMIN_ADDR", "127.0.0.1:0");
                command.env("ALLOW_VOLATILE_REDIS", "true").env("OPENAI_WEBHOOK_SECRET", secrets.join(" "));
                command.env("RUST_LOG", if self == Self::Ingest { "warn" } else { "info" });
                // The format that is used in production.
                command.env("LOG_FORMAT", "json");
                command
            }
            Self::Fastapi => {
                let mut command = Command::new(installed("fastapi")?.join("bin/python"));
                let flags = "-B -m uvicorn app:app --host 127.0.0.1 --loop uvloop --http httptools";
                command.args(flags.split(' ')).args(["--no-access-log", "--log-level", "warning"]);
                command.args(["--port", &port.to_string()]);
                command.current_dir(source("fastapi")).env("OPENAI_WEBHOOK_SECRET", last);
                command
            }
            Self::Node => {
                let mut command = Command::new("node");
                command.arg("server.mjs").current_dir(installed("node")?).env("NODE_ENV", "production");
                command.env("OPENAI_WEBHOOK_SECRET", last);
                command
            }
        };
        command.env("PORT", port.to_string()).env("REDIS_URL", redis.url());
        command.env("ENQUEUE_LUA", source("enqueue.lua"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(self.log()?).spawn();
        let child = child.with_context(|| format!("cannot start {}", self.name()))?;
        wait::until_blocking(self.name(), || TcpStream::connect(address).ok());
        Ok(Server { child, address, stream: self.stream() })
    }

    fn stream(self) -> Option<&'static str> {
        match self {
            Self::Bare | Self::BareHash => None,
            Self::Ingest | Self::IngestInfo => Some("{landfall}:events:batch"),
            Self::Fastapi | Self::Node => Some("openai:events"),
        }
    }

    /// A log file, as for a container.
    fn log(self) -> Result<Stdio> {
        let folder = std::env::current_exe()?.with_file_name("bench-logs");
        std::fs::create_dir_all(&folder)?;
        let file = std::fs::File::create(folder.join(format!("{self:?}.log")))?;
        Ok(file.into())
    }
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A program of this workspace, built in the same folder as this one.
fn built(name: &str) -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

fn source(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}

/// The packages that `scripts/bench` has installed for a peer.
fn installed(name: &str) -> Result<PathBuf> {
    let target = std::env::var_os("BENCH_PEERS")
        .context("BENCH_PEERS is not set; start this program with scripts/bench")?;
    Ok(PathBuf::from(target).join(name))
}
