//! The user's own system with bad days: it fails, stalls, hangs up, and is gone for seconds. It remembers what it was
//! told, and whether it said thanks.

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

/// Events of these types are few enough that telling of them is not most of the database's work.
const CONFIG: &str = "[notifications]\nallow = [\"127.0.0.1\"]\n[[targets]]\nname = \"app\"\n\
                      events = [\"response.stored\", \"batch.stored\", \"event.dead\"]\nsecret_env = \"APP_SECRET\"\n\
                      timeout_secs = 1\nrate_per_sec = 500\npayload = \"full\"\n";
/// Failed attempts of one notification before it is given up: more than it can have before the target is back.
const WAITS: usize = 200;
const UP: std::ops::Range<u64> = 4_000..9_000;
const DOWN: std::ops::Range<u64> = 500..3_000;

/// What came of one notification.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) body: Vec<u8>,
    /// Answered with 200.
    pub(crate) thanked: u32,
    pub(crate) times: u32,
    /// Once it came with other bytes under the same id.
    pub(crate) changed: bool,
}

/// By the notification's id.
pub(crate) type AllTold = HashMap<String, Told>;

/// The wait after so many failed attempts, from 1.
pub(crate) fn wait_secs(failed: usize) -> f64 {
    if failed <= 10 { 0.2 } else { 2.0 }
}

/// The workers' setting that says so.
pub(crate) fn schedule() -> String {
    (1..=WAITS).map(|failed| wait_secs(failed).to_string()).collect::<Vec<_>>().join(",")
}

pub(crate) struct Target {
    address: SocketAddr,
    told: Arc<Mutex<AllTold>>,
    is_calm: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Target {
    pub(crate) fn start(seed: u64) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (told, is_calm) = (Arc::<Mutex<AllTold>>::default(), Arc::new(AtomicBool::new(false)));
        let task = tokio::spawn(live_and_die(address, seed, Arc::clone(&told), Arc::clone(&is_calm)));
        Self { address, told, is_calm, task }
    }

    /// Writes the file that names it to the workers.
    pub(crate) fn write_config(&self, path: &Path) -> anyhow::Result<()> {
        let text = format!("{CONFIG}url = \"http://{}/hook\"\n", self.address);
        std::fs::write(path, text).context("cannot write landfall.toml")
    }

    /// From now on it takes everything.
    pub(crate) fn calm(&self) {
        self.is_calm.store(true, Ordering::SeqCst);
    }

    pub(crate) fn told(&self) -> AllTold {
        self.told.lock().expect("nothing panics while it holds it").clone()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn live_and_die(address: SocketAddr, seed: u64, told: Arc<Mutex<AllTold>>, is_calm: Arc<AtomicBool>) {
    let mut rng = Rng::with_seed(seed);
    loop {
        let (told, calm, mood) = (Arc::clone(&told), Arc::clone(&is_calm), Mutex::new(rng.fork()));
        let server = Receiver::start_at(address, move |received| {
            let roll = mood.lock().expect("nothing panics while it holds it").u32(..100);
            let reply = if calm.load(Ordering::SeqCst) { Reply::ok() } else { reply(roll) };
            note(&told, received, matches!(reply, Reply::Answer { status: "200 OK", .. }));
            reply
        })
        .await;
        tokio::time::sleep(Duration::from_millis(rng.u64(UP))).await;
        while is_calm.load(Ordering::SeqCst) {
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

fn note(told: &Mutex<AllTold>, received: &Received, is_thanked: bool) {
    let mut told = told.lock().expect("nothing panics while it holds it");
    let entry = told.entry(received.id().to_owned());
    let one =
        entry.or_insert_with(|| Told { body: received.body.clone(), thanked: 0, times: 0, changed: false });
    one.times += 1;
    one.thanked += u32::from(is_thanked);
    one.changed |= one.body != received.body;
}
