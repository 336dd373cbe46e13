//! Builds all components from the settings, runs one loop per family, and drains at shutdown.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use error_text::chain;
use futures_util::future::{BoxFuture, FutureExt as _};
use notifier::{LinkSecrets, ResultLinks};
use openai_client::{BodyMemory, Client, ClientConfig};
use queue::{
    Cause, Consumer, ConsumerConfig, KnownTargets, NotificationStream, Presence, PresenceSnapshot,
    QueueAdmin, QueueConfig, QueueError,
};
use secrecy::{ExposeSecret as _, SecretString};
use service::metrics::Registry;
use service::settings::{Fetch, SettingError, StoreSettings, refuse};
use service::{admin, detached};
use store::{S3Config, Store, StoreConfig, StoreError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use webhook::Family;

use crate::auth_failure_monitor::AuthFailureMonitor;
use crate::backlog::Backlog;
use crate::context::{BatchOptions, Context, Fetching};
use crate::family_loop::FamilyLoop;
use crate::group_ack::GroupAck;
use crate::group_commit::GroupCommit;
use crate::metrics::Metrics;
use crate::notifications::{EarlySender, Outbox, Schedule, Targets, TargetsFile, Timing};
use crate::permits::Permits;
use crate::readiness::Readiness;
use crate::retry::RetryPolicy;
use crate::settings::Settings;

/// The only project so far; webhooks, secrets and API keys are per project at OpenAI.
const DEFAULT_PROJECT: &str = "default";
const OPENAI_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest pause within a response. There is no total timeout: files may have gigabytes.
const OPENAI_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const START_RETRY_DELAY: Duration = Duration::from_secs(2);

/// Runs a worker until `shutdown`, then finishes or releases its deliveries.
///
/// When the database or the file store cannot be opened, or the admin port is in use. A Redis or PostgreSQL that is
/// down is waited for, and checked when it is up; a Redis that would lose events ends the program.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    settings.check().unwrap_or_else(|error| refuse(&error));
    let mut registry = Registry::for_program("worker");
    let metrics = Metrics::new(&mut registry);
    let Some((access, targets_file)) = shutdown.run_until_cancelled(read_files(&settings)).await else {
        return Ok(());
    };
    let Access { api_key, links, store: store_config, queue } =
        access?.unwrap_or_else(|error| refuse(&error));
    let fetching = fetching(&settings, api_key, &metrics)?;
    let opened = shutdown.run_until_cancelled(open_store(&store_config)).await.transpose();
    let Some(store) = opened.context("could not open the store (DATABASE_URL, FILES_URL)")? else {
        return Ok(());
    };
    let queue_admin = QueueAdmin::new(&queue).context("REDIS_URL is not valid")?;
    let name = queue::consumer_name();
    let context = Arc::new(Context {
        worker: name.clone(),
        store: store.clone(),
        group_commit: GroupCommit::start(store.clone()),
        group_ack: GroupAck::start(),
        fetching,
        retry: retry_policy(&settings),
        readiness: Readiness::new(&settings.worker_families.0, metrics.clone()),
        metrics,
        auth_failures: AuthFailureMonitor::default(),
        permits: Permits::default(),
        outbox: Outbox::new(targets_file.subscribe(), links),
        batches: BatchOptions { inputs: settings.fetch_batch_inputs, images: settings.fetch_batch_images },
        early: Arc::new(EarlySender::new()),
        min_free_bytes: settings.min_free_bytes,
    });
    let readiness = readiness(Arc::clone(&context), queue_admin.clone(), targets_file.problem());
    let admin = admin::serve(settings.admin_addr, registry, readiness)?;
    let ready = queue_admin.wait_until_ready(settings.redis.allow_volatile_redis);
    if let Some(Err(error)) = shutdown.run_until_cancelled(ready).await {
        refuse(&error);
    }
    let stopped = CancellationToken::new();
    let presence = tokio::spawn(presence(&context, queue_admin.clone(), &name, stopped.clone()));
    let mut loops = JoinSet::new();
    loops.spawn(targets_file.follow(shutdown.clone()).map(|()| 0));
    shutdown.run_until_cancelled(read_target_health(&context)).await;
    start_loops(&mut loops, &context, queue_admin, &shutdown);
    let schedule = settings.notification_schedule.clone();
    loops.spawn(targets(&context, &queue, schedule, &name)?.run(shutdown.clone()).map(|()| 0));
    for &family in &settings.worker_families.0 {
        let config =
            ConsumerConfig { queue: queue.clone(), family, name: name.clone(), lease: settings.lease_secs };
        let concurrency = settings.worker_concurrency.of(family);
        loops.spawn(run_family(Arc::clone(&context), config, concurrency, shutdown.clone()));
    }
    announce(&name, &settings);
    let mut left_behind = 0;
    while let Some(ended) = loops.join_next().await {
        left_behind += ended.context("a loop of the worker panicked")?;
    }
    stopped.cancel();
    presence.await.context("the heartbeat loop panicked")?;
    admin.stop().await;
    log_stop(left_behind);
    Ok(())
}

/// Starts the loops that monitor the queue and the database. Each returns the number of deliveries it left behind.
fn start_loops(
    loops: &mut JoinSet<usize>,
    context: &Arc<Context>,
    queue_admin: QueueAdmin,
    shutdown: &CancellationToken,
) {
    let store = context.store.clone();
    let backlog = Backlog::new(queue_admin, store.clone(), context.metrics.clone(), context.outbox.config());
    loops.spawn(backlog.publish(shutdown.clone()).map(|()| 0));
    let (probing, until) = (Arc::clone(context), shutdown.clone());
    loops.spawn(async move { probing.readiness.probe(store, until).map(|()| 0).await });
    let (early, store, until) = (Arc::clone(&context.early), context.store.clone(), shutdown.clone());
    loops.spawn(async move { early.follow_health(store, until).map(|()| 0).await });
}

fn log_stop(left_behind: usize) {
    if left_behind == 0 {
        tracing::info!("worker stopped; all deliveries are settled or released");
    } else {
        tracing::warn!(
            deliveries = left_behind,
            hint = "nothing is lost: other workers reclaim them when their leases expire (LEASE_SECS)",
            "worker stopped; {left_behind} deliveries could not be released because Redis did not reply"
        );
    }
}

/// Ready while events can be claimed and stored, and targets can be notified.
fn readiness(
    context: Arc<Context>,
    queue: QueueAdmin,
    targets_problem: watch::Receiver<Option<String>>,
) -> impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync {
    move || {
        let (context, queue) = (Arc::clone(&context), queue.clone());
        let targets_problem = targets_problem.borrow().clone();
        async move {
            context.readiness.check()?;
            context.store.ping().await.map_err(|error| chain(&error))?;
            queue.ping().await.map_err(|error| chain(&error))?;
            targets_problem.map_or(Ok(()), |problem| Err(format!("no target is notified: {problem}")))
        }
        .boxed()
    }
}

/// Sends this worker's heartbeats until `stopped`, and publishes the state of Redis and of other programs.
fn presence(
    context: &Context,
    queue_admin: QueueAdmin,
    name: &str,
    stopped: CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let (config, metrics) = (context.outbox.config(), context.metrics.redis.clone());
    let targets = move || {
        let config = config.borrow();
        let names = config.targets.iter().map(|target| target.name.clone()).collect();
        Some(KnownTargets { names, sha256: config.digest() })
    };
    let publish = move |snapshot: Result<PresenceSnapshot, QueueError>| match snapshot {
        Ok(snapshot) => metrics.reached(snapshot.faults(), snapshot.alive()),
        Err(_) => metrics.lost(),
    };
    Presence::new(queue_admin, name.to_owned(), "worker", env!("CARGO_PKG_VERSION"))
        .run(stopped, targets, publish)
}

/// The configuration of external services, with secrets that may be in separate files.
struct Access {
    /// `None` when nothing is fetched.
    api_key: Option<SecretString>,
    /// `None` when notifications contain no links.
    links: Option<Arc<ResultLinks>>,
    store: StoreConfig,
    queue: QueueConfig,
}

impl Access {
    fn read(settings: &Settings) -> Result<Self, SettingError> {
        let api_key = match settings.openai.fetch {
            Fetch::On => Some(settings.openai.api_key()?),
            Fetch::Off => None,
        };
        let queue =
            QueueConfig { url: settings.redis.url()?, key_prefix: settings.redis.redis_key_prefix.clone() };
        Ok(Self { api_key, links: links(settings)?, store: store_config(&settings.store)?, queue })
    }
}

/// Reads all files that the settings name. Reading one may hang.
async fn read_files(settings: &Settings) -> (std::io::Result<Result<Access, SettingError>>, TargetsFile) {
    let own = settings.clone();
    let access = detached::run(move || Access::read(&own));
    tokio::join!(access, TargetsFile::open(settings.config_file.landfall_config.clone()))
}

fn retry_policy(settings: &Settings) -> RetryPolicy {
    RetryPolicy {
        min: settings.retry_min_secs,
        max: settings.retry_max_secs,
        give_up_after: settings.retry_for_secs,
        not_found_for: settings.not_found_for_secs,
    }
}

/// Makes links to results; `None` without `RESULTS_BASE_URL`.
fn links(settings: &Settings) -> Result<Option<Arc<ResultLinks>>, SettingError> {
    let Some((base_url, secret)) = settings.results.links()? else {
        return Ok(None);
    };
    let base_url = base_url.parse();
    let base_url =
        base_url.map_err(|error: url::ParseError| SettingError::wrong("RESULTS_BASE_URL", error))?;
    let secrets = LinkSecrets::parse(secret.expose_secret());
    let secrets = secrets.map_err(|error| SettingError::wrong("RESULTS_SECRET", error))?;
    Ok(Some(Arc::new(ResultLinks::new(base_url, secrets))))
}

fn store_config(settings: &StoreSettings) -> Result<StoreConfig, SettingError> {
    let bucket = &settings.bucket;
    Ok(StoreConfig {
        database_url: settings.database_url()?,
        files_url: settings.files_url.clone(),
        s3: S3Config {
            endpoint: bucket.aws_endpoint_url.clone(),
            region: bucket.aws_region.clone(),
            access_key_id: bucket.aws_access_key_id.clone(),
            secret_access_key: bucket.secret_access_key()?,
            session_token: bucket.session_token()?,
        },
    })
}

fn announce(name: &str, settings: &Settings) {
    let families: Vec<&str> = settings.worker_families.0.iter().map(|family| family.as_str()).collect();
    tracing::info!(
        worker.name = name,
        families = families.join(","),
        body_memory_bytes = settings.body_memory(),
        "worker started"
    );
    if settings.results.results_addr.is_some() {
        tracing::warn!(
            hint = "remove RESULTS_ADDR, and send requests for /results/ to CONSOLE_ADDR of the console",
            "RESULTS_ADDR is ignored: the console serves results through signed links"
        );
    }
}

/// Waits for a database server that is down or starting, as for Redis.
async fn open_store(config: &StoreConfig) -> Result<Store, StoreError> {
    let mut logged = None;
    loop {
        match Store::open(config).await {
            Err(error) if error.is_unreachable() => {
                let (text, hint) = (chain(&error), error.write_fault().hint());
                if logged.as_ref() != Some(&text) {
                    tracing::error!(error = text, hint, "waiting for the database");
                    logged = Some(text);
                }
                tokio::time::sleep(START_RETRY_DELAY).await;
            }
            ended => return ended,
        }
    }
}

/// Before the first delivery, so that a call that waits in the queue is sent early.
async fn read_target_health(context: &Context) {
    if let Err(error) = context.early.read_health(&context.store).await {
        tracing::warn!(
            error = chain(&error),
            "could not read the state of targets; calls are stored before they are sent"
        );
    }
}

/// Builds the notification dispatchers, which are ready to send.
fn targets(
    context: &Context,
    queue: &QueueConfig,
    schedule: Schedule,
    worker: &str,
) -> anyhow::Result<Targets> {
    let mut targets = Targets {
        config: context.outbox.config(),
        written: context.outbox.written(),
        early: Arc::clone(&context.early),
        store: context.store.clone(),
        stream: NotificationStream::new(queue).context("REDIS_URL is not valid")?,
        timing: Timing::new(schedule),
        metrics: context.metrics.clone(),
        worker: worker.to_owned(),
        reachable: Vec::new(),
    };
    targets.prepare();
    Ok(targets)
}

fn fetching(
    settings: &Settings,
    api_key: Option<SecretString>,
    metrics: &Metrics,
) -> anyhow::Result<Fetching> {
    let Some(api_key) = api_key else { return Ok(Fetching::Off) };
    let metrics = metrics.clone();
    let client = Client::new(ClientConfig {
        base_url: settings.openai.openai_base_url.clone(),
        api_key,
        organization: settings.openai.openai_org_id.clone(),
        project: settings.openai.openai_project_id.clone(),
        connect_timeout: OPENAI_CONNECT_TIMEOUT,
        idle_timeout: OPENAI_IDLE_TIMEOUT,
        web_search_results: settings.include_web_search_results,
        observer: Some(Arc::new(move |observed| metrics.openai_request(observed))),
        body_memory: BodyMemory::of(settings.body_memory()),
    })
    .context("could not prepare the OpenAI client")?;
    Ok(Fetching::With(HashMap::from([(DEFAULT_PROJECT.to_owned(), client)])))
}

/// Connects one family's consumer, waiting for Redis without a time limit, and runs its loop.
async fn run_family(
    context: Arc<Context>,
    config: ConsumerConfig,
    concurrency: usize,
    shutdown: CancellationToken,
) -> usize {
    let family: Family = config.family;
    let mut logged = None;
    let mut consumer = loop {
        match Consumer::connect(config.clone()).await {
            Ok(consumer) => break consumer,
            Err(error) => {
                let (text, hint) = (chain(&error), Cause::of(&error).hint());
                context.readiness.claimed(family, Some(text.clone()));
                if logged.as_ref() != Some(&text) {
                    tracing::error!(event.family = family.as_str(), error = text, hint, "waiting for Redis");
                    logged = Some(text);
                }
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return 0,
            () = tokio::time::sleep(START_RETRY_DELAY) => {}
        }
    };
    if let Fetching::With(clients) = &context.fetching {
        consumer.respect_pauses_of(clients.keys().cloned());
    }
    FamilyLoop { context, family, consumer, concurrency }.run(shutdown).await
}
