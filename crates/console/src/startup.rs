//! Builds all parts from the settings, and stops them in reverse order.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context as _;
use error_text::chain;
use notifier::LinkSecrets;
use queue::{QueueAdmin, QueueConfig};
use secrecy::ExposeSecret as _;
use service::metrics::Registry;
use service::settings::{self as service_settings, SettingError, refuse};
use service::{admin, detached};
use store::{S3Config, StoreConfig};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::api::event_stream;
use crate::changes::Changes;
use crate::database::Database;
use crate::day_reader::DayReader;
use crate::facts::FactReader;
use crate::presence;
use crate::proxy::TrustedProxy;
use crate::result_links;
use crate::server;
use crate::session::{Passwords, Sessions};
use crate::settings::Settings;
use crate::state::State;
use crate::waiting::Waiting;

/// Reads of changes that may wait to be looked at.
const RECHECKS_MAX: usize = 64;

/// Why the API's port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("CONSOLE_ADDR: cannot listen on {addr}{}", admin::hint(source))]
struct CannotListen {
    addr: SocketAddr,
    source: std::io::Error,
}

/// Anyone could send the header.
#[derive(Debug, thiserror::Error)]
#[error(
    "it must be set together with CONSOLE_TRUSTED_PROXY, the network whose header counts: set both or neither"
)]
struct NoTrustedProxy;

/// Serves the API until `shutdown`, then lets open requests end.
///
/// # Errors
/// When a port is in use or a setting is not valid. Redis and the database may be down.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    server::raise_nofile_limit();
    let own = settings.clone();
    let read = detached::run(move || configs(&own));
    let Some(configs) = shutdown.run_until_cancelled(read).await else { return Ok(()) };
    let Configs { store, queue: queue_config, link_secrets, passwords } =
        configs?.unwrap_or_else(|error| refuse(&error));
    let database = Database::new(store);
    let queue = QueueAdmin::new(&queue_config).context("REDIS_URL is not valid")?;

    let addr = settings.console_addr;
    let listener = TcpListener::bind(addr).map_err(|source| CannotListen { addr, source })?;
    let bound = listener.local_addr().context("the address of the listener is not known")?;
    let proxy = TrustedProxy {
        network: settings.console_trusted_proxy,
        user_header: settings.console_user_header.clone(),
    };
    let stopped = CancellationToken::new();
    let (rechecks, changed) = mpsc::channel(RECHECKS_MAX);
    let state = State {
        database: database.clone(),
        queue: queue.clone(),
        waiting: Waiting::start(database.clone(), queue.clone(), changed, stopped.clone()),
        changes: Changes::start(queue_config.clone(), rechecks, stopped.clone()),
        queue_config,
        facts: FactReader::start(database.clone(), queue.clone(), stopped.clone()),
        day: DayReader::start(database.clone(), stopped.clone()),
        settings: service_settings::shown::<Settings>(),
        allows_volatile_redis: settings.redis.allow_volatile_redis,
        stream_places: event_stream::places(),
        access: Access::new(
            settings.console_hosts.clone(),
            proxy,
            bound,
            passwords.is_any_set(),
            settings.console_read_only,
        ),
        sessions: Sessions::new(passwords, database.clone()),
        name: settings.console_name.clone(),
        bodies: settings.console_bodies,
        link_secrets,
        link_permits: result_links::permits(),
        landfall_config: settings.targets.landfall_config.clone(),
        stopped: stopped.clone(),
    };
    let serves_links = state.link_secrets.is_some();
    let server = server::start(listener, state).context("could not start the HTTP server")?;
    let handle = server.handle();
    let serving = tokio::spawn(server);
    tracing::info!(console.addr = %bound, result_links = serves_links, "serving the API");

    let mut registry = Registry::for_program("console");
    let presence = presence::start(queue.clone(), &mut registry, stopped.clone());
    let asked = (database.clone(), queue);
    let readiness = move || ready(asked.0.clone(), asked.1.clone());
    let admin = admin::serve(settings.admin_addr, registry, readiness)?;
    shutdown.cancelled().await;
    // Waiting requests end with 202, and the streams of events end.
    stopped.cancel();
    handle.stop(true).await;
    serving.await.context("the HTTP server panicked")?.context("the HTTP server failed")?;
    presence.await.context("the heartbeat loop panicked")?;
    database.close().await;
    admin.stop().await;
    tracing::info!("console stopped");
    Ok(())
}

/// Ready while both can be read.
async fn ready(database: Database, queue: QueueAdmin) -> Result<(), String> {
    let reader = database.reader().await.map_err(|error| chain(&error))?;
    reader.ping().await.map_err(|error| chain(&error))?;
    queue.ping().await.map_err(|error| chain(&error))
}

/// What the settings say, with secrets that may be in files.
struct Configs {
    store: StoreConfig,
    queue: QueueConfig,
    /// `None` when links to results are not served.
    link_secrets: Option<LinkSecrets>,
    passwords: Passwords,
}

fn configs(settings: &Settings) -> Result<Configs, SettingError> {
    let queue =
        QueueConfig { url: settings.redis.url()?, key_prefix: settings.redis.redis_key_prefix.clone() };
    let (store, bucket) = (&settings.store, &settings.store.bucket);
    let store = StoreConfig {
        database_url: store.database_url()?,
        files_url: store.files_url.clone(),
        s3: S3Config {
            endpoint: bucket.aws_endpoint_url.clone(),
            region: bucket.aws_region.clone(),
            access_key_id: bucket.aws_access_key_id.clone(),
            secret_access_key: bucket.secret_access_key()?,
            session_token: bucket.session_token()?,
        },
    };
    let secrets = settings.results.secret_if_set()?;
    let secrets = secrets.map(|secrets| LinkSecrets::parse(secrets.expose_secret())).transpose();
    let link_secrets = secrets.map_err(|error| SettingError::wrong("RESULTS_SECRET", error))?;
    let (operator, viewer) = settings.passwords.load()?;
    if settings.console_user_header.is_some() && settings.console_trusted_proxy.is_none() {
        return Err(SettingError::wrong("CONSOLE_USER_HEADER", NoTrustedProxy));
    }
    Ok(Configs { store, queue, link_secrets, passwords: Passwords { operator, viewer } })
}
