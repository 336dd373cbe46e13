//! Two ingest are replaced in turn while webhooks arrive: one of them always responds, and no acknowledged webhook is lost.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use test_support::programs::Program;
use test_support::redis::free_port;
use test_support::signed_webhook::{SECRET, SignedWebhook};
use webhook::EventState;

use crate::harness::Landfall;

const RESTARTS: usize = 4;
/// Concurrent senders.
const SENDERS: usize = 8;
/// Attempts per webhook, without waiting.
const ATTEMPTS: usize = 10;

/// An ingest that keeps its port after a restart, as behind a load balancer.
struct Ingest {
    port: u16,
    redis_url: String,
    program: Program,
}

impl Ingest {
    fn start(redis_url: &str) -> Self {
        let port = free_port();
        Self { port, redis_url: redis_url.to_owned(), program: Self::program(port, redis_url) }
    }

    fn program(port: u16, redis_url: &str) -> Program {
        let addr = format!("127.0.0.1:{port}");
        let environment = [
            ("OPENAI_WEBHOOK_SECRET", SECRET),
            ("REDIS_URL", redis_url),
            ("INGEST_ADDR", &addr),
            ("ADMIN_ADDR", "127.0.0.1:0"),
        ];
        let mut program = Program::start("ingest", &environment);
        program.wait_for_log("ingest.addr");
        program
    }

    /// Sends SIGTERM, waits for the drain, and starts a new process.
    fn replace(&mut self) {
        assert!(self.program.stop().success());
        self.program = Self::program(self.port, &self.redis_url);
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/openai/webhook", self.port)
    }
}

/// Sends webhooks one after the other until `stop` is set; if one ingest fails, it tries the other. Returns the
/// acknowledged webhook-ids.
async fn send_until(stop: Arc<AtomicBool>, urls: [String; 2]) -> Vec<String> {
    let http = reqwest::Client::builder().build().unwrap();
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let webhook = SignedWebhook::new("video.completed", "video_1");
        let mut refusals = Vec::new();
        // More than one round: between two attempts, one ingest may have started and the other may have stopped.
        for url in urls.iter().cycle().take(ATTEMPTS) {
            let mut request = http.post(url).body(webhook.body.clone());
            for (name, value) in webhook.headers() {
                request = request.header(name, value);
            }
            match request.send().await.and_then(reqwest::Response::error_for_status) {
                Ok(_) => break,
                Err(error) => refusals.push(error),
            }
        }
        assert!(refusals.len() < ATTEMPTS, "{} was not accepted: {refusals:?}", webhook.webhook_id);
        acknowledged.push(webhook.webhook_id);
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_replaced_in_turn_under_load_is_always_there_and_loses_nothing() {
    let landfall = Landfall::start().await;
    let mut both = [Ingest::start(&landfall.redis.url()), Ingest::start(&landfall.redis.url())];
    let urls = [both[0].url(), both[1].url()];
    let stop = Arc::new(AtomicBool::new(false));
    let senders = (0..SENDERS).map(|sender| {
        let mut urls = urls.clone();
        urls.rotate_left(sender % 2);
        tokio::spawn(send_until(Arc::clone(&stop), urls))
    });
    let senders: Vec<_> = senders.collect();
    tokio::task::block_in_place(|| {
        for _ in 0..RESTARTS {
            both.iter_mut().for_each(Ingest::replace);
        }
    });
    stop.store(true, Ordering::Relaxed);
    let acknowledged: Vec<String> = join_all(senders).await.into_iter().flat_map(Result::unwrap).collect();
    assert!(acknowledged.len() > 10 * RESTARTS, "{} webhooks are not enough load", acknowledged.len());

    landfall.settled().await;
    let names: Vec<_> = acknowledged.iter().map(|id| ("default".to_owned(), id.clone())).collect();
    let events = landfall.store().await.events_named(&names).await.unwrap();
    let stored: HashSet<&str> = events
        .iter()
        .filter(|event| event.state == EventState::Stored)
        .map(|event| event.webhook_id.as_str())
        .collect();
    let lost: Vec<&String> = acknowledged.iter().filter(|id| !stored.contains(id.as_str())).collect();
    assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), acknowledged.len());
}
