//! Starts ingest's parts in order, and ends them in the opposite one.

use std::net::SocketAddr;
use std::sync::Arc;

use error_text::chain;
use queue::{Preflight, PreflightError, Producer, QueueAdmin};
use service::admin::{self, Admin, AdminError};
use service::metrics::{RedisMetrics, Registry};
use service::settings::SettingError;
use service::shutdown;
use tokio_util::sync::CancellationToken;

use crate::admission::AdmissionGate;
use crate::app;
use crate::body::BodyBudget;
use crate::connections::raise_nofile_limit;
use crate::limits::Limits;
use crate::presence::Report;
use crate::receive::Receiver;
use crate::redis_watch::RedisWatch;
use crate::request_log::Metrics;
use crate::settings::Settings;
use crate::tls::{self, TlsError};

/// Why ingest did not start, or failed while it ran.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("INGEST_ADDR: cannot listen on {addr}")]
    Bind { addr: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Redis(#[from] PreflightError),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error("cannot watch for signals")]
    Signals(#[source] std::io::Error),
    #[error("cannot start a runtime")]
    Runtime(#[source] std::io::Error),
    #[error("the HTTP server failed")]
    Server(#[source] std::io::Error),
}

/// A running ingest.
#[derive(Debug)]
pub struct Ingest {
    /// Where webhooks are received: with port 0 the port that the kernel chose.
    pub addr: SocketAddr,
    /// Where the admin port is.
    pub admin_addr: SocketAddr,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
    watch: tokio::task::JoinHandle<Result<(), PreflightError>>,
    report: Report,
    admin: Admin,
}

/// Receives webhooks until SIGTERM or SIGINT, then finishes what was accepted.
///
/// # Errors
/// [`RunError`] names the setting when one is wrong.
pub async fn run(settings: Settings) -> Result<(), RunError> {
    let stop = shutdown::on_signal().map_err(RunError::Signals)?;
    raise_nofile_limit(settings.max_connections);
    // A file that hangs while it is read must not keep a program that has accepted nothing from stopping.
    let starting = start(&settings, Limits::default(), stop.clone());
    match stop.run_until_cancelled(starting).await {
        Some(started) => started?.ended().await,
        None => Ok(()),
    }
}

/// Opens both ports. `stop` begins the drain. Redis need not be there yet; it is checked as soon as it is.
///
/// # Errors
/// [`RunError`] names the setting when one is wrong.
pub async fn start(settings: &Settings, limits: Limits, stop: CancellationToken) -> Result<Ingest, RunError> {
    let mut registry = Registry::of_program("ingest");
    let gate = AdmissionGate::default();
    let queue = settings.queue().await?;
    let producer = settings.producer(&queue)?;
    let receiver = Receiver {
        webhook_path: settings.webhook_path.clone(),
        verifier: settings.verifier().await?,
        producer: producer.clone(),
        metrics: Metrics::new(&mut registry),
        body_budget: Arc::new(BodyBudget::new(settings.max_body_bytes, limits.large_bodies_bytes)),
        limits,
        gate: gate.clone(),
    };
    let redis = RedisMetrics::new(&mut registry);
    let (tls, renewal) = match settings.tls()? {
        Some(files) => Some(tls::load(files).await?),
        None => None,
    }
    .unzip();
    let reader = QueueAdmin::new(&queue).map_err(|error| SettingError::wrong("REDIS_URL", error))?;
    let watch = RedisWatch::new(gate.clone(), producer.clone(), reader.clone(), &mut registry);
    let allow_volatile = settings.redis.allow_volatile_redis;
    match reader.preflight(allow_volatile).await {
        Preflight::Ready => gate.open(),
        Preflight::Failed(unfit) => return Err(unfit.into()),
        Preflight::NotReady(_) => {}
    }

    let encrypted = tls.is_some();
    let (server, addr) = app::build(settings, receiver, tls, stop.clone())
        .map_err(|source| RunError::Bind { addr: settings.ingest_addr, source })?;
    let asked = (producer, gate, stop.clone());
    let readiness = move || ready(asked.0.clone(), asked.1.clone(), asked.2.clone());
    let admin = admin::serve(settings.admin_addr, registry, readiness)?;
    if let Some(renewal) = renewal {
        tokio::spawn(renewal.watch(stop.clone()));
    }
    let report = Report::start(reader, redis);
    let watch = tokio::spawn(watch.run(allow_volatile, stop.clone()));
    let server = tokio::spawn(async move {
        server.await?;
        let expected = stop.is_cancelled();
        expected.then_some(()).ok_or_else(|| std::io::Error::other("it exited unexpectedly"))
    });
    tracing::info!(ingest.addr = %addr, webhook.path = settings.webhook_path, tls = encrypted, "receiving webhooks");
    Ok(Ingest { addr, admin_addr: admin.addr, server, watch, report, admin })
}

impl Ingest {
    /// Waits until the drain is over.
    ///
    /// # Errors
    /// [`RunError::Server`] when the server failed, [`RunError::Redis`] when Redis came and would lose events.
    pub async fn ended(self) -> Result<(), RunError> {
        let result = self.server.await.map_err(std::io::Error::other).flatten();
        self.report.end().await;
        self.admin.stop().await;
        self.watch.await.map_err(|error| RunError::Server(error.into()))??;
        result.map_err(RunError::Server)
    }
}

/// What `/readyz` says.
async fn ready(producer: Producer, gate: AdmissionGate, stop: CancellationToken) -> Result<(), String> {
    if stop.is_cancelled() {
        return Err("stopping".to_owned());
    }
    // Without webhooks nothing else would notice that Redis is away.
    producer.ping().await.map_err(|error| chain(&error))?;
    gate.ready()
}
