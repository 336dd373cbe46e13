//! The installation under test: one durable Redis, two ingest, and three workers with one SQLite database, all with short
//! timeouts.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use queue::QueueConfig;
use tempfile::TempDir;
use test_support::redis::{RedisServer, free_port};
use test_support::signed_webhook::SECRET;

use crate::service::Service;
use crate::target::{self, Target};

pub(crate) const LEASE: Duration = Duration::from_secs(2);
const TARGETS_FILE: &str = "landfall.toml";
const INGESTS: usize = 2;
const WORKERS: usize = 3;
pub(crate) const PREFIX: &str = "landfall";
const API_KEY: &str = crate::openai::API_KEY;

pub(crate) struct Cluster {
    // Declared before the folder, so that all processes have ended when it is removed.
    pub(crate) ingests: Vec<Service>,
    pub(crate) workers: Vec<Service>,
    pub(crate) redis: RedisServer,
    pub(crate) folder: TempDir,
    ingest_ports: Vec<u16>,
}

impl Cluster {
    pub(crate) fn start(openai_url: &str, target: &Target) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("landfall-chaos-").tempdir()?;
        let redis = RedisServer::start();
        target.write_config(&folder.path().join(TARGETS_FILE))?;
        let bin = std::env::current_exe().context("the path of this program is unknown")?;
        let bin = bin.parent().context("the folder of this program is unknown")?;
        let ingest_ports: Vec<u16> = (0..INGESTS).map(|_| free_port()).collect();
        let mut cluster = Self { ingests: Vec::new(), workers: Vec::new(), redis, folder, ingest_ports };
        for (number, port) in cluster.ingest_ports.iter().enumerate() {
            let service = cluster.service(bin, "ingest", number + 1, &cluster.ingest_environment(*port));
            cluster.ingests.push(service);
        }
        for number in 1..=WORKERS {
            let service = cluster.service(bin, "worker", number, &cluster.worker_environment(openai_url));
            cluster.workers.push(service);
        }
        for service in cluster.services() {
            service.start()?;
        }
        Ok(cluster)
    }

    fn service(&self, bin: &Path, program: &str, number: usize, own: &[(&str, String)]) -> Service {
        let name = format!("{program}-{number}");
        let shared = [
            ("REDIS_URL", self.redis.url()),
            ("REDIS_KEY_PREFIX", PREFIX.to_owned()),
            ("ADMIN_ADDR", "127.0.0.1:0".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
            // Logging each event is not under test, and costs time.
            ("RUST_LOG", "warn".to_owned()),
        ];
        let environment = shared.iter().chain(own).map(|(name, value)| ((*name).to_owned(), value.clone()));
        let log = self.folder.path().join(format!("{name}.log"));
        Service::new(name, bin.join(program), environment.collect(), log)
    }

    fn ingest_environment(&self, port: u16) -> Vec<(&'static str, String)> {
        vec![("OPENAI_WEBHOOK_SECRET", SECRET.to_owned()), ("INGEST_ADDR", format!("127.0.0.1:{port}"))]
    }

    fn worker_environment(&self, openai_url: &str) -> Vec<(&'static str, String)> {
        vec![
            ("OPENAI_API_KEY", API_KEY.to_owned()),
            ("OPENAI_BASE_URL", openai_url.to_owned()),
            ("DATABASE_URL", format!("sqlite://{}", self.database().display())),
            ("FILES_URL", self.files().display().to_string()),
            ("LEASE_SECS", LEASE.as_secs().to_string()),
            // The database is the bottleneck; more concurrency only means more crashed deliveries per kill.
            ("WORKER_CONCURRENCY", "2,response=8".to_owned()),
            ("LANDFALL_CONFIG", self.folder.path().join(TARGETS_FILE).display().to_string()),
            ("APP_SECRET", SECRET.to_owned()),
            ("NOTIFICATION_SCHEDULE", target::schedule()),
            ("RETRY_MIN_SECS", "0.1".to_owned()),
            ("RETRY_MAX_SECS", "2".to_owned()),
        ]
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("landfall.db")
    }

    pub(crate) fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    pub(crate) fn queue_config(&self) -> QueueConfig {
        QueueConfig { url: self.redis.url().into(), key_prefix: PREFIX.to_owned() }
    }

    pub(crate) fn webhook_urls(&self) -> Vec<String> {
        self.ingest_ports.iter().map(|port| format!("http://127.0.0.1:{port}/openai/webhook")).collect()
    }

    /// Kills Redis and restarts it with the same append-only file.
    pub(crate) fn kill_redis(&mut self, down_for: Duration) {
        tokio::task::block_in_place(|| {
            self.redis.kill();
            std::thread::park_timeout(down_for);
            self.redis.resume();
        });
    }

    /// Acts as a supervisor: restarts exited processes and thaws those that were frozen long enough.
    pub(crate) fn supervise(&mut self) -> anyhow::Result<()> {
        self.services().try_for_each(Service::supervise)
    }

    /// Makes sure that every process runs.
    pub(crate) fn heal(&mut self) -> anyhow::Result<()> {
        self.services().for_each(Service::thaw);
        self.supervise()
    }

    /// The programs that exited without being killed; there must be none.
    pub(crate) fn unexpected_exits(&self) -> Vec<String> {
        let all = self.ingests.iter().chain(&self.workers).filter(|service| service.unexpected_exits > 0);
        all.map(|service| {
            format!("{}: {} times, last status {}", service.name, service.unexpected_exits, service.last_exit)
        })
        .collect()
    }

    fn services(&mut self) -> impl Iterator<Item = &mut Service> {
        self.ingests.iter_mut().chain(&mut self.workers)
    }
}

/// The time at which a worker that is frozen now has certainly lost its leases.
pub(crate) fn past_the_lease() -> Instant {
    Instant::now() + LEASE.mul_f64(1.5)
}
