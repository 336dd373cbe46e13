//! Starts ingest's parts in order, and ends them in the opposite one.

use std::net::SocketAddr;

use actix_server::Server;
use queue::{Fitness, Producer, QueueReader, UnfitServer};
use service::admin::{self, Admin, AdminError};
use service::metrics::Registry;
use service::settings::SettingError;
use service::shutdown;
use service::telemetry::chain;
use tokio_util::sync::CancellationToken;

use crate::app;
use crate::descriptors;
use crate::guard::{self, Guard};
use crate::limits::Limits;
use crate::listener;
use crate::metrics::Metrics;
use crate::receive::Receiver;
use crate::room::Room;
use crate::scheduling;
use crate::settings::Settings;
use crate::tls::{self, TlsError};

/// Why ingest did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("INGEST_ADDR: cannot listen on {addr}")]
    Bind {
        addr: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Redis(#[from] UnfitServer),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error("cannot watch for signals")]
    Signals(#[source] std::io::Error),
    #[error("the HTTP server ended by itself")]
    Server(#[source] std::io::Error),
}

/// A running ingest.
#[derive(Debug)]
pub struct Ingest {
    /// Where webhooks are received: with port 0 the port the system chose.
    pub addr: SocketAddr,
    /// Where the admin port is.
    pub admin_addr: SocketAddr,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
    watch: tokio::task::JoinHandle<Result<(), UnfitServer>>,
    admin: Admin,
}

/// Receives webhooks until SIGTERM or SIGINT, then finishes what was accepted.
///
/// # Errors
/// [`RunError`] names the setting when one is wrong.
pub async fn run(settings: Settings) -> Result<(), RunError> {
    let stop = shutdown::on_signal().map_err(RunError::Signals)?;
    descriptors::raise_limit(settings.max_connections);
    scheduling::let_others_finish();
    start(&settings, Limits::default(), stop).await?.ended().await
}

/// Opens both ports. `stop` begins the drain. Redis need not be there yet; it is checked as soon as it is.
///
/// # Errors
/// [`RunError`] names the setting when one is wrong.
pub async fn start(settings: &Settings, limits: Limits, stop: CancellationToken) -> Result<Ingest, RunError> {
    let mut registry = Registry::default();
    let receiver = Receiver {
        verifier: settings.verifier()?,
        producer: settings.producer()?,
        metrics: Metrics::new(&mut registry),
        room: Room::new(settings.max_body_bytes, limits.large_bodies_bytes),
        limits,
        guard: Guard::default(),
    };
    let (tls, renewal) = match settings.tls()? {
        Some(files) => Some(tls::load(files).await?),
        None => None,
    }
    .unzip();
    let reader = settings.reader()?;
    let allow_volatile = settings.redis.allow_volatile_redis;
    match reader.fitness(allow_volatile).await {
        Fitness::Fit => receiver.guard.open(),
        Fitness::Unfit(unfit) => return Err(unfit.into()),
        Fitness::NotYet(_) => {}
    }
    let guard = receiver.guard.clone();
    let producer = receiver.producer.clone();

    let bind = |source| RunError::Bind { addr: settings.ingest_addr, source };
    let listener = listener::listen(settings.ingest_addr).map_err(bind)?;
    let addr = listener.local_addr().map_err(bind)?;
    let admin = admin::serve(
        settings.admin_addr,
        registry,
        readiness(producer.clone(), guard.clone(), stop.clone()),
    )?;
    let encrypted = tls.is_some();
    let server = app::build(settings, receiver, listener, tls).map_err(bind)?;
    if let Some(renewal) = renewal {
        tokio::spawn(renewal.watch(stop.clone()));
    }
    let watch = tokio::spawn(watch(guard, reader, producer, allow_volatile, stop.clone()));
    let server = tokio::spawn(serve(server, stop));
    tracing::info!(ingest.addr = %addr, webhook.path = settings.webhook_path, tls = encrypted, "receiving webhooks");
    Ok(Ingest { addr, admin_addr: admin.addr, server, watch, admin })
}

impl Ingest {
    /// Waits until the drain is over.
    ///
    /// # Errors
    /// [`RunError::Server`] when the server ended without being told to, [`RunError::Redis`] when Redis came and would
    /// lose events.
    pub async fn ended(self) -> Result<(), RunError> {
        let result = self.server.await.map_err(std::io::Error::other).flatten();
        self.admin.stop().await;
        self.watch.await.map_err(|error| RunError::Server(error.into()))??;
        result.map_err(RunError::Server)
    }
}

async fn serve(server: Server, stop: CancellationToken) -> std::io::Result<()> {
    let handle = server.handle();
    let mut server = std::pin::pin!(server);
    tokio::select! {
        result = &mut server => {
            result?;
            return Err(std::io::Error::other("nobody told it to stop"));
        }
        () = stop.cancelled() => {}
    }
    // Accepts nothing more, and waits for the requests that run.
    tokio::join!(handle.stop(true), server).1
}

/// Watches Redis; one that would lose events ends the program.
async fn watch(
    guard: Guard,
    reader: QueueReader,
    producer: Producer,
    allow_volatile: bool,
    stop: CancellationToken,
) -> Result<(), UnfitServer> {
    let ended = guard::watch(guard, reader, producer, allow_volatile, stop.clone()).await;
    if ended.is_err() {
        stop.cancel();
    }
    ended
}

/// Ready while Redis takes events and nobody said stop.
fn readiness(
    producer: Producer,
    guard: Guard,
    stop: CancellationToken,
) -> impl Fn() -> std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync {
    move || {
        let (producer, guard, stop) = (producer.clone(), guard.clone(), stop.clone());
        Box::pin(async move {
            if stop.is_cancelled() {
                return Err("stopping".to_owned());
            }
            producer.ping().await.map_err(|error| chain(&error))?;
            guard.pass().map_err(|closed| closed.to_string())
        })
    }
}
