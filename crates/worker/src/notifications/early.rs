//! Sends notifications that expire (of calls) before their rows are written. How it ended is written with the row; what
//! could not be sent early goes on as any other row of the outbox.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use error_text::chain;
use futures_util::future::join_all;
use store::{AttemptEnd, Completion, NewNotification, Store, TargetHealth};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::job::Job;
use crate::notifications::attempt::Sender;

/// How long a paused target may still get calls.
const HEALTH_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Concurrent attempts to one target: a target that stalls leaves room for the calls of others.
const ATTEMPTS_PER_TARGET_MAX: usize = 256;
/// Calls of a worker that wait for answers or for the database without holding a slot; further ones hold their slots.
const CALLS_MAX: usize = 1024;
/// How many answers are remembered, for events whose write failed after they were sent.
const ANSWERS_MAX: usize = 4096;
/// The share of a second's rate that may be used at once, as for other urgent notifications.
const BURST: Duration = Duration::from_secs(1);

/// Sends early to the current targets.
pub(crate) struct EarlySender {
    places: Arc<Semaphore>,
    targets: Mutex<HashMap<String, Arc<EarlyTarget>>>,
    /// Empty until it was read once.
    health: Mutex<Option<HashMap<String, TargetHealth>>>,
    answers: Mutex<Answers>,
}

/// A target, and how much may be sent to it by this worker.
struct EarlyTarget {
    sender: Sender,
    attempts: Semaphore,
    rate: Mutex<Rate>,
}

/// The rate of a target in this worker. The shared rate is in the database, and asking for it would take too long.
struct Rate {
    each: Duration,
    /// What was taken is sent by then.
    busy_until: Instant,
}

/// The last answers by notification id. The same notification is sent once at a time.
#[derive(Default)]
struct Answers {
    by_id: HashMap<String, Arc<OnceCell<AttemptEnd>>>,
    oldest_first: VecDeque<String>,
}

/// Why a notification is not sent early.
struct NotNow;

impl EarlySender {
    pub(crate) fn new() -> Self {
        Self {
            places: Arc::new(Semaphore::new(CALLS_MAX)),
            targets: Mutex::default(),
            health: Mutex::default(),
            answers: Mutex::default(),
        }
    }

    /// Replaces the targets: each with its sender and its rate.
    pub(crate) fn replace(&self, targets: impl IntoIterator<Item = (String, Sender, f64)>) {
        let targets = targets.into_iter();
        let targets = targets.map(|(name, sender, rate)| (name, Arc::new(EarlyTarget::new(sender, rate))));
        *lock(&self.targets) = targets.collect();
    }

    /// Reads the state of the targets until `shutdown`. While the database is down, the last known state counts.
    pub(crate) async fn follow_health(&self, store: Store, shutdown: CancellationToken) {
        loop {
            if let Err(error) = self.read_health(&store).await {
                tracing::debug!(error = chain(&error), "could not read the state of targets");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(HEALTH_POLL_INTERVAL) => {}
            }
        }
    }

    /// Until it succeeds once, nothing is sent early.
    pub(crate) async fn read_health(&self, store: &Store) -> Result<(), store::StoreError> {
        let health = store.target_health().await?;
        let by_name = health.into_iter().map(|health| (health.target.clone(), health)).collect();
        *lock(&self.health) = Some(by_name);
        Ok(())
    }

    /// Sends the notifications that expire, to all targets at once, and adds how it ended to the completion. Returns
    /// what the delivery holds until it is written: the family's slot, or a place that leaves the slot to others.
    pub(crate) async fn send(
        &self,
        job: &Job<'_>,
        completion: &mut Completion,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Option<OwnedSemaphorePermit> {
        let expiring = || completion.notifications.iter().filter(|new| new.expires_at.is_some());
        // The notifications of a replayed event were sent, or given up, when it arrived.
        if job.is_forced() || expiring().next().is_none() {
            return slot;
        }
        let held = Arc::clone(&self.places).try_acquire_owned().ok().or(slot);
        let ends = join_all(expiring().map(|notification| self.send_once(notification))).await;
        completion.sent_early = ends.into_iter().flatten().collect();
        held
    }

    /// Returns the earlier answer if this worker has sent it before.
    async fn send_once(&self, notification: &NewNotification) -> Option<AttemptEnd> {
        let answer = lock(&self.answers).of(&notification.id);
        let sending = || async {
            let target = lock(&self.targets).get(&notification.target).cloned().ok_or(NotNow)?;
            let now = target.sender.timing.now();
            if notification.expires_at.is_some_and(|at| at <= now)
                || !self.accepts(&target, notification, now)
            {
                return Err(NotNow);
            }
            let _attempt = target.attempts.try_acquire().map_err(|_full| NotNow)?;
            lock(&target.rate).take(Instant::now())?;
            Ok(target.sender.attempt_early(notification).await)
        };
        answer.get_or_try_init(sending).await.ok().cloned()
    }

    /// Whether the target is neither paused nor disabled nor failing. A target without a recorded state is new.
    fn accepts(&self, target: &EarlyTarget, notification: &NewNotification, now: DateTime<Utc>) -> bool {
        let health = lock(&self.health);
        let Some(health) = health.as_ref() else { return false };
        health
            .get(&notification.target)
            .is_none_or(|health| health.accepts(target.sender.timing.breaker, now))
    }
}

impl EarlyTarget {
    fn new(sender: Sender, rate_per_sec: f64) -> Self {
        let each = Duration::try_from_secs_f64(1.0 / rate_per_sec).unwrap_or(Duration::MAX);
        let rate = Mutex::new(Rate { each, busy_until: Instant::now() });
        Self { sender, attempts: Semaphore::new(ATTEMPTS_PER_TARGET_MAX), rate }
    }
}

impl Rate {
    fn take(&mut self, now: Instant) -> Result<(), NotNow> {
        let busy_until = self.busy_until.max(now).checked_add(self.each).ok_or(NotNow)?;
        if busy_until.duration_since(now) > BURST.max(self.each) {
            return Err(NotNow);
        }
        self.busy_until = busy_until;
        Ok(())
    }
}

impl Answers {
    /// The answer to a notification, which is empty until there is one.
    fn of(&mut self, id: &str) -> Arc<OnceCell<AttemptEnd>> {
        if let Some(answer) = self.by_id.get(id) {
            return Arc::clone(answer);
        }
        if self.oldest_first.len() >= ANSWERS_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        self.oldest_first.push_back(id.to_owned());
        Arc::clone(self.by_id.entry(id.to_owned()).or_default())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic while the lock is held")
}

/// Uses real sockets and a real database.
#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use notifier::{Config, system_resolver};
    use service::metrics::Registry;
    use store::{NextStep, S3Config, StoreConfig, TargetState};
    use test_support::receiver::{Receiver, Reply};
    use test_support::signed_webhook::SECRET;
    use webhook::NotificationType;

    use super::*;
    use crate::metrics::Metrics;
    use crate::notifications::attempt::Transport;
    use crate::notifications::schedule::{Schedule, Timing};

    /// A database, a server, and an early sender to it with the name `app`.
    struct Fixture {
        store: Store,
        server: Receiver,
        early: EarlySender,
        _folder: tempfile::TempDir,
    }

    impl Fixture {
        async fn new(rate_per_sec: f64) -> Self {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let folder = tempfile::tempdir().unwrap();
            let config = StoreConfig {
                database_url: format!("sqlite://{}/landfall.db", folder.path().display()).into(),
                files_url: folder.path().join("files").display().to_string(),
                s3: S3Config::default(),
            };
            let store = Store::open(&config).await.unwrap();
            let server = Receiver::start(|_| Reply::ok()).await;
            let text = format!(
                "[notifications]\nallow = [\"127.0.0.0/8\"]\n[[targets]]\nname = \"app\"\nurl = \"{}\"\n\
                 secret_env = \"SECRET\"\n",
                server.url()
            );
            let config = Config::parse(&text, &|_place| Ok(SECRET.into())).unwrap();
            let place = config.targets[0].destination.http().unwrap();
            let sender = Sender {
                store: store.clone(),
                transport: Transport::Http(place.endpoint(&config.allow, system_resolver()).unwrap()),
                timing: Timing::new(Schedule::default()),
                metrics: Metrics::new(&mut Registry::default()),
            };
            let early = EarlySender::new();
            early.replace([("app".to_owned(), sender, rate_per_sec)]);
            Self { store, server, early, _folder: folder }
        }

        async fn set(&self, state: TargetState) {
            self.store.set_target_state("app", state, Utc::now()).await.unwrap();
            self.early.read_health(&self.store).await.unwrap();
        }
    }

    fn call(id: &str, left: TimeDelta) -> NewNotification {
        NewNotification {
            project: "default".to_owned(),
            id: id.to_owned(),
            target: "app".to_owned(),
            kind: NotificationType::EventReceived.into(),
            urgent: true,
            webhook_id: None,
            event_id: None,
            object_id: None,
            event_created_at: None,
            created_at: Utc::now(),
            expires_at: Some(Utc::now() + left),
            body: b"{}".to_vec(),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_call_whose_write_failed_is_not_sent_again_by_the_same_worker() {
        let fixture = Fixture::new(1000.0).await;
        fixture.set(TargetState::Active).await;
        let call = call("ntf_1", TimeDelta::minutes(1));
        // Two webhooks of one event at the same time, and a retry.
        let (one, other) = tokio::join!(fixture.early.send_once(&call), fixture.early.send_once(&call));
        let again = fixture.early.send_once(&call).await;
        for end in [one, other, again] {
            assert_eq!(end.unwrap().next, NextStep::Delivered);
        }
        assert_eq!(fixture.server.received().len(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn only_an_active_target_gets_a_call_and_only_in_time() {
        let fixture = Fixture::new(1000.0).await;
        let is_sent =
            async |id: &str| fixture.early.send_once(&call(id, TimeDelta::minutes(1))).await.is_some();
        assert!(!is_sent("ntf_unread").await, "no state was read yet");
        for stopped in [TargetState::Paused, TargetState::Disabled] {
            fixture.set(stopped).await;
            assert!(!is_sent("ntf_stopped").await, "{stopped}");
        }
        fixture.set(TargetState::Active).await;
        assert!(fixture.early.send_once(&call("ntf_late", TimeDelta::zero())).await.is_none());
        let elsewhere =
            NewNotification { target: "gone".to_owned(), ..call("ntf_gone", TimeDelta::minutes(1)) };
        assert!(fixture.early.send_once(&elsewhere).await.is_none());
        assert_eq!(fixture.server.connections(), 0);
        assert!(is_sent("ntf_stopped").await, "it was not sent before");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn calls_beyond_the_rate_of_a_target_are_left_to_its_dispatcher() {
        let fixture = Fixture::new(2.0).await;
        fixture.set(TargetState::Active).await;
        let calls = (0..5).map(|n| call(&format!("ntf_{n}"), TimeDelta::minutes(1)));
        let ends = join_all(calls.collect::<Vec<_>>().iter().map(|call| fixture.early.send_once(call))).await;
        assert_eq!(ends.into_iter().flatten().count(), 2, "as many as in a second");

        let start = Instant::now();
        let mut rate = Rate { each: Duration::from_millis(500), busy_until: start };
        let mut taken = |ms: u64| rate.take(start + Duration::from_millis(ms)).is_ok();
        assert_eq!(
            [0, 0, 0, 499, 500, 600, 5000, 5000, 5000].map(&mut taken),
            [true, true, false, false, true, false, true, true, false]
        );
    }

    #[test]
    fn only_the_last_answers_are_remembered() {
        let mut answers = Answers::default();
        let first = answers.of("ntf_first");
        for n in 0..ANSWERS_MAX {
            assert!(Arc::ptr_eq(&answers.of("ntf_first"), &first), "{n}");
            if n < ANSWERS_MAX - 1 {
                answers.of(&format!("ntf_{n}"));
            }
        }
        answers.of("ntf_one_more");
        assert_eq!((answers.by_id.len(), answers.oldest_first.len()), (ANSWERS_MAX, ANSWERS_MAX));
        assert!(!Arc::ptr_eq(&answers.of("ntf_first"), &first), "the oldest one was forgotten");
    }
}
