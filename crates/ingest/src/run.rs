//! Starts the parts of ingest in order, and stops them in reverse order.

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
use crate::presence::PresenceTask;
use crate::receive::Receiver;
use crate::redis_watch::RedisWatch;
use crate::request_log::Metrics;
use crate::settings::Settings;
use crate::tls::{self, TlsError};

/// Why ingest did not start, or failed while running.
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
    #[error("cannot install signal handlers")]
    Signals(#[source] std::io::Error),
    #[error("cannot start the Tokio runtime")]
    Runtime(#[source] std::io::Error),
    #[error("the HTTP server failed")]
    Server(#[source] std::io::Error),
}

/// A running ingest.
#[derive(Debug)]
pub struct Ingest {
    /// The address for webhooks; for port 0, with the port that the kernel chose.
    pub addr: SocketAddr,
    /// The address of the admin port.
    pub admin_addr: SocketAddr,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
    watch: tokio::task::JoinHandle<Result<(), PreflightError>>,
    presence: PresenceTask,
    admin: Admin,
}

/// Receives webhooks until SIGTERM or SIGINT, then finishes accepted requests.
///
/// # Errors
/// [`RunError`] names the setting if one is invalid.
pub async fn run(settings: Settings) -> Result<(), RunError> {
    let stop = shutdown::on_signal().map_err(RunError::Signals)?;
    raise_nofile_limit(settings.max_connections);
    // A read that hangs must not prevent shutdown before anything was accepted.
    let starting = start(&settings, Limits::default(), stop.clone());
    match stop.run_until_cancelled(starting).await {
        Some(started) => started?.ended().await,
        None => Ok(()),
    }
}

/// Opens both ports. `stop` starts the drain. Redis may be down; it is checked as soon as it is reachable.
///
/// # Errors
/// [`RunError`] names the setting if one is invalid.
pub async fn start(settings: &Settings, limits: Limits, stop: CancellationToken) -> Result<Ingest, RunError> {
    let mut registry = Registry::for_program("ingest");
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
    let (tls, reloader) = match settings.tls()? {
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
    if let Some(reloader) = reloader {
        tokio::spawn(reloader.watch(stop.clone()));
    }
    let presence = PresenceTask::start(reader, redis);
    let watch = tokio::spawn(watch.run(allow_volatile, stop.clone()));
    let server = tokio::spawn(async move {
        server.await?;
        let expected = stop.is_cancelled();
        expected.then_some(()).ok_or_else(|| std::io::Error::other("it exited unexpectedly"))
    });
    tracing::info!(ingest.addr = %addr, webhook.path = settings.webhook_path, tls = encrypted, "receiving webhooks");
    Ok(Ingest { addr, admin_addr: admin.addr, server, watch, presence, admin })
}

impl Ingest {
    /// Waits until the drain has finished.
    ///
    /// # Errors
    /// [`RunError::Server`] if the server failed, [`RunError::Redis`] if Redis became reachable but would lose events.
    pub async fn ended(self) -> Result<(), RunError> {
        let result = self.server.await.map_err(std::io::Error::other).flatten();
        self.presence.stop().await;
        self.admin.stop().await;
        self.watch.await.map_err(|error| RunError::Server(error.into()))??;
        result.map_err(RunError::Server)
    }
}

/// The readiness check behind `/readyz`.
async fn ready(producer: Producer, gate: AdmissionGate, stop: CancellationToken) -> Result<(), String> {
    if stop.is_cancelled() {
        return Err("stopping".to_owned());
    }
    // Without incoming webhooks nothing else would notice that Redis is down.
    producer.ping().await.map_err(|error| chain(&error))?;
    gate.ready()
}
