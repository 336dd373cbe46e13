//! A notification target with faults: it fails, stalls, disconnects, and is down for seconds. It records every
//! notification and whether it accepted it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use fastrand::Rng;
use test_support::receiver::{Received, Receiver, Reply};
use test_support::redis::free_port;

/// These event types are rare enough that notifications are not most of the database's work.
const CONFIG: &str = "[notifications]\nallow = [\"127.0.0.1\"]\n[[targets]]\nname = \"app\"\n\
                      events = [\"response.stored\", \"batch.stored\", \"event.dead\"]\nsecret_env = \"APP_SECRET\"\n\
                      timeout_secs = 1\nrate_per_sec = 500\npayload = \"full\"\n";
/// Attempts until a notification is given up: more than can fail before the target recovers.
const WAITS: usize = 200;
const UP: std::ops::Range<u64> = 4_000..9_000;
const DOWN: std::ops::Range<u64> = 500..3_000;

/// The deliveries of one notification.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    pub(crate) body: Vec<u8>,
    /// Deliveries answered with 200.
    pub(crate) accepted: u32,
    pub(crate) times: u32,
    /// Whether a later delivery had a different body.
    pub(crate) changed: bool,
}

/// Receipts by notification id.
pub(crate) type Receipts = HashMap<String, Receipt>;

/// The wait after this many failed attempts, starting at 1.
pub(crate) fn wait_secs(failed: usize) -> f64 {
    if failed <= 10 { 0.2 } else { 2.0 }
}

/// The same waits as a value of `NOTIFICATION_SCHEDULE`.
pub(crate) fn schedule() -> String {
    (1..=WAITS).map(|failed| wait_secs(failed).to_string()).collect::<Vec<_>>().join(",")
}

pub(crate) struct Target {
    address: SocketAddr,
    receipts: Arc<Mutex<Receipts>>,
    is_reliable: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Target {
    pub(crate) fn start(seed: u64) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (receipts, is_reliable) = (Arc::<Mutex<Receipts>>::default(), Arc::new(AtomicBool::new(false)));
        let task =
            tokio::spawn(serve_unreliably(address, seed, Arc::clone(&receipts), Arc::clone(&is_reliable)));
        Self { address, receipts, is_reliable, task }
    }

    /// Writes the workers' configuration file.
    pub(crate) fn write_config(&self, path: &Path) -> anyhow::Result<()> {
        let text = format!("{CONFIG}url = \"http://{}/hook\"\n", self.address);
        std::fs::write(path, text).context("cannot write landfall.toml")
    }

    /// Accepts every notification from now on.
    pub(crate) fn make_reliable(&self) {
        self.is_reliable.store(true, Ordering::SeqCst);
    }

    pub(crate) fn receipts(&self) -> Receipts {
        self.receipts.lock().expect("no thread panics while it holds the lock").clone()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve_unreliably(
    address: SocketAddr,
    seed: u64,
    receipts: Arc<Mutex<Receipts>>,
    is_reliable: Arc<AtomicBool>,
) {
    let mut rng = Rng::with_seed(seed);
    loop {
        let (receipts, reliable, rolls) =
            (Arc::clone(&receipts), Arc::clone(&is_reliable), Mutex::new(rng.fork()));
        let server = Receiver::start_at(address, move |received| {
            let roll = rolls.lock().expect("no thread panics while it holds the lock").u32(..100);
            let reply = if reliable.load(Ordering::SeqCst) { Reply::ok() } else { reply(roll) };
            note(&receipts, received, matches!(reply, Reply::Answer { status: "200 OK", .. }));
            reply
        })
        .await;
        tokio::time::sleep(Duration::from_millis(rng.u64(UP))).await;
        while is_reliable.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        drop(server);
        tokio::time::sleep(Duration::from_millis(rng.u64(DOWN))).await;
    }
}

fn reply(roll: u32) -> Reply {
    match roll {
        0..10 => Reply::status("500 Internal Server Error"),
        10..13 => Reply::Answer {
            status: "429 Too Many Requests",
            headers: "retry-after: 1\r\n".to_owned(),
            body: String::new(),
        },
        13..16 => Reply::Stall,
        16..20 => Reply::HangUp,
        _ => Reply::ok(),
    }
}

fn note(receipts: &Mutex<Receipts>, received: &Received, is_accepted: bool) {
    let mut receipts = receipts.lock().expect("no thread panics while it holds the lock");
    let entry = receipts.entry(received.id().to_owned());
    let one = entry.or_insert_with(|| Receipt {
        body: received.body.clone(),
        accepted: 0,
        times: 0,
        changed: false,
    });
    one.times += 1;
    one.accepted += u32::from(is_accepted);
    one.changed |= one.body != received.body;
}
