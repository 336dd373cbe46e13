//! OpenAI as a sender: new events at a fixed rate, each retried until it is acknowledged, always with the same `webhook-id`
//! and a new timestamp. Some are sent again after that.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use fake_openai::FakeOpenAi;
use fastrand::Rng;
use queue::QueueAdmin;
use test_support::signed_webhook::SignedWebhook;
use tokio::task::{JoinHandle, JoinSet};

use crate::event_plan::EventPlan;
use crate::openai;

/// Maximum concurrent events.
const IN_FLIGHT_MAX: usize = 256;
/// With a longer backlog no new events are sent, because the final drain would only take longer.
const BACKLOG_MAX: u64 = 4000;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// One in this many events is sent again after it was acknowledged.
const AGAIN_ONE_IN: u32 = 50;
/// OpenAI retries for 72 hours; this is the equivalent at our speed.
const ATTEMPTS_MAX: u32 = 600;

pub(crate) struct Load {
    shared: Arc<Shared>,
    sending: JoinHandle<()>,
}

struct Shared {
    seed: u64,
    urls: Vec<String>,
    http: reqwest::Client,
    openai: Arc<FakeOpenAi>,
    reader: QueueAdmin,
    ended: AtomicBool,
    backlog: AtomicU64,
    requests: AtomicU64,
    refused: AtomicU64,
    unanswered: AtomicU64,
    acknowledged: Mutex<Vec<u64>>,
    never: Mutex<Vec<u64>>,
}

/// The events that were sent.
pub(crate) struct Sent {
    /// The numbers of the events that were answered with 2xx.
    pub(crate) acknowledged: Vec<u64>,
    /// The numbers of the others.
    pub(crate) never_acknowledged: Vec<u64>,
    /// Deliveries after the first one of each event.
    pub(crate) duplicates: u64,
    /// Responses other than 2xx.
    pub(crate) refused: u64,
    /// Requests without a response.
    pub(crate) unanswered: u64,
}

impl Load {
    pub(crate) fn start(
        seed: u64,
        events_per_sec: u32,
        urls: Vec<String>,
        openai: &Arc<FakeOpenAi>,
        reader: QueueAdmin,
    ) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(ANSWER_TIMEOUT)
            .build()
            .context("cannot create the HTTP client")?;
        let shared = Arc::new(Shared {
            seed,
            urls,
            http,
            openai: Arc::clone(openai),
            reader,
            ended: AtomicBool::new(false),
            backlog: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            acknowledged: Mutex::default(),
            never: Mutex::default(),
        });
        tokio::spawn(watch_backlog(Arc::clone(&shared)));
        let sending = tokio::spawn(send_all(Arc::clone(&shared), events_per_sec));
        Ok(Self { shared, sending })
    }

    pub(crate) fn progress(&self) -> String {
        let acknowledged = lock(&self.shared.acknowledged).len();
        format!("{acknowledged} events acknowledged, {} queued", self.shared.backlog.load(Relaxed))
    }

    /// Sends no new events, and waits until those in flight are acknowledged.
    pub(crate) async fn end(self) -> Sent {
        self.shared.ended.store(true, Relaxed);
        self.sending.await.ok();
        let shared = self.shared;
        let acknowledged = std::mem::take(&mut *lock(&shared.acknowledged));
        let never_acknowledged = std::mem::take(&mut *lock(&shared.never));
        let events = (acknowledged.len() + never_acknowledged.len()) as u64;
        Sent {
            duplicates: shared.requests.load(Relaxed).saturating_sub(events),
            refused: shared.refused.load(Relaxed),
            unanswered: shared.unanswered.load(Relaxed),
            acknowledged,
            never_acknowledged,
        }
    }
}

async fn watch_backlog(shared: Arc<Shared>) {
    while !shared.ended.load(Relaxed) {
        // Redis may be down.
        if let Ok(stats) = shared.reader.stats().await {
            shared.backlog.store(stats.iter().map(queue::FamilyStats::backlog).sum(), Relaxed);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn send_all(shared: Arc<Shared>, events_per_sec: u32) {
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / f64::from(events_per_sec.max(1))));
    let mut in_flight = JoinSet::new();
    let mut number = 0;
    while !shared.ended.load(Relaxed) {
        ticks.tick().await;
        while in_flight.try_join_next().is_some() {}
        if in_flight.len() >= IN_FLIGHT_MAX {
            in_flight.join_next().await;
        }
        if shared.backlog.load(Relaxed) > BACKLOG_MAX {
            continue;
        }
        in_flight.spawn(send(Arc::clone(&shared), number));
        number += 1;
    }
    while in_flight.join_next().await.is_some() {}
}

/// Sends one event until it is acknowledged.
async fn send(shared: Arc<Shared>, number: u64) {
    let plan = EventPlan::new(shared.seed, number);
    openai::prepare(&shared.openai, &plan);
    let mut rng = Rng::with_seed(shared.seed ^ number.rotate_left(17));
    let mut pause = RETRY_MIN;
    for _ in 0..ATTEMPTS_MAX {
        if shared.post(&plan, &mut rng).await {
            lock(&shared.acknowledged).push(number);
            if rng.u32(..AGAIN_ONE_IN) == 0 {
                shared.post(&plan, &mut rng).await;
            }
            return;
        }
        tokio::time::sleep(pause.mul_f64(0.5 + rng.f64() / 2.0)).await;
        pause = RETRY_MAX.min(pause * 2);
    }
    lock(&shared.never).push(number);
}

impl Shared {
    /// Delivers once. Returns whether it was acknowledged.
    async fn post(&self, plan: &EventPlan, rng: &mut Rng) -> bool {
        self.requests.fetch_add(1, Relaxed);
        let webhook = SignedWebhook::with_body(&plan.webhook_id, plan.body.clone());
        let url = &self.urls[rng.usize(..self.urls.len())];
        let mut request = self.http.post(url).body(webhook.body.clone());
        for (name, value) in webhook.headers() {
            request = request.header(name, value);
        }
        match request.send().await {
            Ok(answer) if answer.status().is_success() => true,
            Ok(_) => {
                self.refused.fetch_add(1, Relaxed);
                false
            }
            Err(_) => {
                self.unanswered.fetch_add(1, Relaxed);
                false
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
