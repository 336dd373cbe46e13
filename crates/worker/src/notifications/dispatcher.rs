//! Dispatches the notifications of one target: leases those that are due, sends several at a time, waits for more. Each
//! target has two dispatchers, so that urgent notifications never wait behind the rest.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use error_text::chain;
use notifier::Target;
use store::{LeaseRequest, StoreError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::notifications::attempt::{LeasedNotification, Sender};

/// Concurrent attempts of one dispatcher in one worker.
const CONCURRENCY: u32 = 8;
/// Interval at which notifications written by other workers are noticed.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
const OUTAGE_DELAY: Duration = Duration::from_secs(2);
/// A write to a stream has its own, much shorter timeout.
const STREAM_TIMEOUT: Duration = Duration::from_secs(15);
/// Time for attempts to finish at shutdown; the rest are released. Less than the ten seconds that `docker stop` waits.
const DRAIN_MAX: Duration = Duration::from_secs(7);

/// The urgent or the other notifications of one target.
pub(crate) struct Dispatcher {
    pub(crate) sender: Sender,
    pub(crate) target: Arc<Target>,
    pub(crate) urgent: bool,
    /// Unique to this dispatcher of this worker.
    pub(crate) owner: String,
}

/// What can be sent now.
struct Step {
    leased: Vec<LeasedNotification>,
    next_at: Option<DateTime<Utc>>,
}

impl Dispatcher {
    /// Runs until `shutdown`, then finishes or releases its notifications.
    pub(crate) async fn run(self, mut written: watch::Receiver<()>, shutdown: CancellationToken) {
        let mut running = JoinSet::new();
        let mut is_healthy = true;
        while !shutdown.is_cancelled() {
            written.mark_unchanged();
            let free = CONCURRENCY - u32::try_from(running.len()).unwrap_or(CONCURRENCY);
            let mut wait = POLL_INTERVAL;
            if free > 0 {
                match self.take(free).await {
                    Ok(step) => {
                        is_healthy = true;
                        wait = self.until(step.next_at);
                        let any = !step.leased.is_empty();
                        for leased in step.leased {
                            let sender = self.sender.clone();
                            running.spawn(async move { sender.attempt(leased).await });
                        }
                        if any {
                            continue;
                        }
                    }
                    Err(error) => {
                        self.report(&error, std::mem::replace(&mut is_healthy, false));
                        wait = OUTAGE_DELAY;
                    }
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                Some(_ended) = running.join_next() => {}
                // The sender lives as long as the worker's handlers.
                Ok(()) = written.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.drain(running).await;
    }

    /// Leases up to `limit` notifications that are due. Those that are too late are given up, whatever the state of the
    /// target.
    async fn take(&self, limit: u32) -> Result<Step, StoreError> {
        if self.urgent {
            let now = self.sender.timing.now();
            for expired in self.sender.store.expire_notifications(&self.target.name, now).await? {
                self.sender.report_expired(&expired);
            }
        }
        let timeout = self.target.destination.http().map_or(STREAM_TIMEOUT, |place| place.timeout);
        let request = LeaseRequest {
            target: self.target.name.clone(),
            urgent: self.urgent,
            limit,
            rate_per_sec: self.target.rate_per_sec,
            owner: self.owner.clone(),
            lease_for: timeout + self.sender.timing.lease_margin,
            breaker: self.sender.timing.breaker,
        };
        let batch = self.sender.store.lease_notifications(&request, self.sender.timing.now()).await?;
        let is_probe = batch.is_probe;
        let leased = batch.notifications.into_iter();
        let leased =
            leased.map(|record| LeasedNotification { record, owner: self.owner.clone(), is_probe }).collect();
        Ok(Step { leased, next_at: batch.next_at })
    }

    fn until(&self, next_at: Option<DateTime<Utc>>) -> Duration {
        let left = next_at.map(|at| (at - self.sender.timing.now()).to_std().unwrap_or_default());
        left.map_or(POLL_INTERVAL, |left| left.clamp(Duration::from_millis(1), POLL_INTERVAL))
    }

    fn report(&self, error: &StoreError, is_first: bool) {
        if is_first {
            tracing::error!(
                notification.target = self.target.name,
                error = chain(error),
                "could not read the outbox; retrying"
            );
        }
    }

    async fn drain(&self, mut running: JoinSet<()>) {
        let ended = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_MAX, ended).await.is_ok() {
            return;
        }
        tracing::info!(
            notification.target = self.target.name,
            attempts = running.len(),
            "releasing notifications that are still being sent"
        );
        running.shutdown().await;
        if let Err(error) = self.sender.store.release_notifications(&self.owner).await {
            tracing::warn!(
                error = chain(&error),
                "could not release notifications: they are sent again when their leases expire"
            );
        }
    }
}

/// Uses real sockets and a real database, with a simulated clock where hours have to pass.
#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use chrono::TimeDelta;
    use notifier::{Config, system_resolver};
    use service::metrics::Registry;
    use store::{
        NewNotification, NotificationFilter, NotificationRecord, S3Config, Store, StoreConfig, TargetState,
    };
    use tempfile::TempDir;
    use test_support::receiver::{Received, Receiver, Reply};
    use test_support::signed_webhook::SECRET;
    use test_support::wait;
    use webhook::{NotificationState, NotificationType, Verifier};

    use super::*;
    use crate::metrics::Metrics;
    use crate::notifications::attempt::Transport;
    use crate::notifications::schedule::{Schedule, Timing};

    /// A separate database, and a clock that only the test advances.
    struct Bench {
        store: Store,
        clock: Arc<Mutex<DateTime<Utc>>>,
        _folder: TempDir,
    }

    impl Bench {
        async fn new() -> Self {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let folder = tempfile::tempdir().unwrap();
            let config = StoreConfig {
                database_url: format!("sqlite://{}/landfall.db", folder.path().display()).into(),
                files_url: folder.path().join("files").display().to_string(),
                s3: S3Config::default(),
            };
            let start = "2026-11-23T00:00:00Z".parse().unwrap();
            Self {
                store: Store::open(&config).await.unwrap(),
                clock: Arc::new(Mutex::new(start)),
                _folder: folder,
            }
        }

        fn now(&self) -> DateTime<Utc> {
            *self.clock.lock().unwrap()
        }

        fn set(&self, now: DateTime<Utc>) {
            *self.clock.lock().unwrap() = now;
        }

        /// A dispatcher to a server, with more lines for its target's table.
        fn dispatcher(&self, name: &str, server: &Receiver, more: &str) -> Dispatcher {
            let text = format!(
                "[notifications]\nallow = [\"127.0.0.0/8\"]\n[[targets]]\nname = \"{name}\"\nurl = \"{}\"\n\
                 secret_env = \"SECRET\"\n{more}\n",
                server.url()
            );
            let config = Config::parse(&text, &|_place| Ok(SECRET.into())).unwrap();
            let target = Arc::clone(&config.targets[0]);
            let place = target.destination.http().unwrap();
            let clock = Arc::clone(&self.clock);
            let timing = Timing {
                clock: Arc::new(move || *clock.lock().unwrap()),
                ..Timing::new(Schedule::default())
            };
            let sender = Sender {
                store: self.store.clone(),
                transport: Transport::Http(place.endpoint(&config.allow, system_resolver()).unwrap()),
                timing,
                metrics: Metrics::new(&mut Registry::default()),
            };
            Dispatcher { sender, target, urgent: false, owner: format!("test:{:016x}", fastrand::u64(..)) }
        }

        async fn add(&self, target: &str, ids: impl IntoIterator<Item = usize>, urgent: bool) {
            let at = self.now();
            let new = ids.into_iter().map(|n| NewNotification {
                project: "default".to_owned(),
                id: format!("ntf_{target}_{n:04}"),
                target: target.to_owned(),
                kind: NotificationType::ResponseStored.into(),
                urgent,
                webhook_id: None,
                event_id: None,
                object_id: Some(format!("resp_{n}")),
                event_created_at: Some(at),
                created_at: at,
                expires_at: None,
                body: format!(r#"{{"n":{n}}}"#).into_bytes(),
            });
            self.store.add_notifications(&new.collect::<Vec<_>>()).await.unwrap();
        }

        async fn all(&self, target: &str) -> Vec<NotificationRecord> {
            let filter = NotificationFilter {
                target: Some(target.to_owned()),
                limit: 10_000,
                ..NotificationFilter::default()
            };
            self.store.list_notifications(&filter).await.unwrap()
        }
    }

    impl Dispatcher {
        /// Sends all notifications that are due now. Returns their number, and when more may be due.
        async fn send_due(&self) -> (usize, Option<DateTime<Utc>>) {
            let mut sent = 0;
            loop {
                let step = self.take(CONCURRENCY).await.unwrap();
                if step.leased.is_empty() {
                    return (sent, step.next_at);
                }
                sent += step.leased.len();
                let attempts = step.leased.into_iter().map(|leased| self.sender.attempt(leased));
                futures_util::future::join_all(attempts).await;
            }
        }
    }

    /// Runs dispatchers as a worker does, until the guard is dropped.
    fn run(dispatchers: Vec<Dispatcher>) -> (watch::Sender<()>, tokio_util::sync::DropGuard) {
        let (written, shutdown) = (watch::Sender::new(()), CancellationToken::new());
        for dispatcher in dispatchers {
            tokio::spawn(dispatcher.run(written.subscribe(), shutdown.clone()));
        }
        (written, shutdown.drop_guard())
    }

    /// The same id always carries the same bytes, each time under a valid signature.
    fn check_same_bytes(received: &[Received]) -> HashMap<String, usize> {
        let verifier = Verifier::from_setting(SECRET).unwrap();
        let mut bodies: HashMap<&str, (&[u8], usize)> = HashMap::new();
        for request in received {
            let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"];
            let headers = headers.map(|name| (name, request.header(name).unwrap().as_bytes()));
            let now = request.header("webhook-timestamp").unwrap().parse().unwrap();
            assert!(verifier.verify(headers, &request.body, now).is_ok());
            let (body, count) = bodies.entry(request.id()).or_insert((&request.body, 0));
            assert_eq!(*body, request.body);
            *count += 1;
        }
        bodies.into_iter().map(|(id, (_, count))| (id.to_owned(), count)).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_target_down_for_a_day_gets_everything_afterwards_and_delays_no_other() {
        const EACH: usize = 144;
        let bench = Bench::new().await;
        let up = Arc::new(AtomicBool::new(false));
        let is_up = Arc::clone(&up);
        let down = Receiver::start(move |_| {
            if is_up.load(Ordering::SeqCst) { Reply::ok() } else { Reply::status("503 Service Unavailable") }
        })
        .await;
        let well = Receiver::start(|_| Reply::ok()).await;
        let dispatchers =
            [bench.dispatcher("down", &down, "rate_per_sec = 5"), bench.dispatcher("well", &well, "")];
        let start = bench.now();
        let back_at = start + TimeDelta::days(1);
        let mut next = [None; 2];
        let mut written = 0;
        loop {
            let due = start + TimeDelta::minutes(10) * i32::try_from(written).unwrap();
            if written < EACH && due <= bench.now() {
                bench.add("down", [written], false).await;
                bench.add("well", [written], false).await;
                written += 1;
            }
            for (dispatcher, next) in dispatchers.iter().zip(&mut next) {
                *next = dispatcher.send_due().await.1;
            }
            let soonest = next.iter().flatten().min().copied();
            let write_at =
                (written < EACH).then(|| start + TimeDelta::minutes(10) * i32::try_from(written).unwrap());
            let Some(step) = soonest.into_iter().chain(write_at).min() else { break };
            bench.set(step.max(bench.now()));
            if bench.now() >= back_at {
                up.store(true, Ordering::SeqCst);
            }
        }
        for record in bench.all("well").await {
            assert_eq!(record.delivered_at, Some(record.notification.created_at), "not delayed by anything");
        }
        let mut delivered: Vec<DateTime<Utc>> =
            bench.all("down").await.iter().map(|record| record.delivered_at.unwrap()).collect();
        delivered.sort();
        let last = delivered[EACH - 1] - back_at;
        assert!(delivered[0] >= back_at && last < TimeDelta::minutes(7), "soon after it was back: {last}");
        let mut in_second: BTreeMap<i64, usize> = BTreeMap::new();
        for at in &delivered {
            *in_second.entry((*at - delivered[0]).num_seconds()).or_default() += 1;
        }
        assert!(in_second.values().all(|count| *count <= 6), "5 a second and one at once: {in_second:?}");
        let counts = check_same_bytes(&down.received());
        assert_eq!(counts.len(), EACH);
        let tries = counts.values().sum::<usize>();
        assert!(tries < 24 * 60, "it was probed now and then, not flooded: {tries}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_whole_schedule_is_used_before_a_notification_is_given_up() {
        let bench = Bench::new().await;
        let server = Receiver::start(|_| Reply::status("500 Internal Server Error")).await;
        let dispatcher = bench.dispatcher("app", &server, "");
        bench.add("app", [0], false).await;
        let start = bench.now();
        while let (_, Some(next)) = dispatcher.send_due().await {
            bench.set(next);
        }
        let record = &bench.all("app").await[0];
        assert_eq!(
            (record.state.clone(), record.attempts, record.last_status),
            (NotificationState::GivenUp.into(), 10, Some(500))
        );
        let log = bench.store.notification_attempts("default", &record.notification.id).await.unwrap();
        let mut before = start;
        let steps = [0.0, 5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0];
        for (attempt, secs) in log.iter().zip(steps) {
            let waited = (attempt.started_at - before).as_seconds_f64();
            assert!(
                waited >= secs && waited <= secs * 1.1 + 0.001,
                "{}: {waited} after {secs}",
                attempt.attempt
            );
            before = attempt.started_at;
        }
        assert_eq!(check_same_bytes(&server.received()).len(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_target_may_ask_for_a_delay_and_one_that_is_gone_is_disabled() {
        let bench = Bench::new().await;
        let replies = Arc::new(Mutex::new(vec![
            Reply::ok(),
            Reply::status("410 Gone"),
            Reply::Answer {
                status: "429 Too Many Requests",
                headers: "retry-after: 90\r\n".to_owned(),
                body: String::new(),
            },
        ]));
        let server = Receiver::start(move |_| replies.lock().unwrap().pop().unwrap()).await;
        let dispatcher = bench.dispatcher("app", &server, "");
        bench.add("app", [0], false).await;
        let (sent, next) = dispatcher.send_due().await;
        assert_eq!((sent, next), (1, Some(bench.now() + TimeDelta::seconds(90))));
        bench.set(next.unwrap());
        let (sent, next) = dispatcher.send_due().await;
        assert_eq!(sent, 1, "410");
        bench.set(next.unwrap() + TimeDelta::days(1));
        assert_eq!(dispatcher.send_due().await.0, 0, "nothing more is sent");
        assert_eq!(bench.store.target_health().await.unwrap()[0].state, TargetState::Disabled);
        bench.store.set_target_state("app", TargetState::Active, bench.now()).await.unwrap();
        assert_eq!(dispatcher.send_due().await.0, 1);
        assert_eq!(bench.all("app").await[0].state, NotificationState::Delivered);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_target_that_stalls_holds_up_neither_others_nor_its_own_urgent_ones() {
        let bench = Bench::new().await;
        let stalling =
            Receiver::start(
                |request| if request.id().ends_with("9999") { Reply::ok() } else { Reply::Stall },
            )
            .await;
        let well = Receiver::start(|_| Reply::ok()).await;
        bench.add("stalls", 0..50, false).await;
        bench.add("well", 0..50, false).await;
        let urgent =
            Dispatcher { urgent: true, ..bench.dispatcher("stalls", &stalling, "timeout_secs = 120") };
        let dispatchers = vec![
            bench.dispatcher("stalls", &stalling, "timeout_secs = 120"),
            urgent,
            bench.dispatcher("well", &well, "rate_per_sec = 1000"),
        ];
        let (written, _running) = run(dispatchers);
        well.wait_for(50).await;
        stalling.wait_for(8).await;
        bench.add("stalls", [9999], true).await;
        written.send_replace(());
        wait::until("the urgent one", || async {
            stalling.received().iter().any(|request| request.id().ends_with("9999")).then_some(())
        })
        .await;
        assert_eq!(stalling.received().len(), 9, "all but the urgent one are stuck");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn several_workers_share_the_work_and_send_nothing_twice() {
        let bench = Bench::new().await;
        let server = Receiver::start(|_| Reply::ok()).await;
        bench.add("app", 0..200, false).await;
        let (_written, _running) =
            run((0..3).map(|_| bench.dispatcher("app", &server, "rate_per_sec = 1000")).collect());
        // The clock only moves here, so the rate limit allows a burst per step.
        wait::until("all to be delivered", || async {
            bench.set(bench.now() + TimeDelta::milliseconds(100));
            let all = bench.all("app").await;
            all.iter().all(|record| record.state == NotificationState::Delivered).then_some(())
        })
        .await;
        let counts = check_same_bytes(&server.received());
        assert_eq!((counts.len(), counts.values().max()), (200, Some(&1)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn notifications_of_a_killed_worker_are_sent_by_another_when_their_leases_expire() {
        let bench = Bench::new().await;
        let stall = Arc::new(AtomicBool::new(true));
        let is_stalled = Arc::clone(&stall);
        let server =
            Receiver::start(
                move |_| if is_stalled.load(Ordering::SeqCst) { Reply::Stall } else { Reply::ok() },
            )
            .await;
        bench.add("app", 0..3, false).await;
        let killed = bench.dispatcher("app", &server, "timeout_secs = 10");
        let running = tokio::spawn(async move { killed.send_due().await });
        server.wait_for(3).await;
        running.abort();
        running.await.unwrap_err();
        stall.store(false, Ordering::SeqCst);

        let other = bench.dispatcher("app", &server, "timeout_secs = 10");
        assert_eq!(other.send_due().await.0, 0, "the leases still run");
        bench.set(bench.now() + TimeDelta::seconds(41));
        assert_eq!(other.send_due().await.0, 3);
        let counts = check_same_bytes(&server.received());
        assert!(counts.len() == 3 && counts.values().all(|count| *count == 2), "{counts:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stopping_worker_releases_what_it_cannot_finish() {
        let bench = Bench::new().await;
        let server = Receiver::start(|_| Reply::Stall).await;
        bench.add("app", 0..3, false).await;
        let dispatcher = bench.dispatcher("app", &server, "timeout_secs = 120");
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(dispatcher.run(watch::Sender::new(()).subscribe(), shutdown.clone()));
        server.wait_for(3).await;
        shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(30), running).await.unwrap().unwrap();
        for record in bench.all("app").await {
            assert_eq!((record.attempts, record.lease_until), (0, None), "neither an attempt nor a wait");
        }
    }
}
