//! Random walks over all queue operations, including crashes of Redis, checked by a model that only counts: every event is
//! in exactly one state, and none is ever lost. `mutants.rs` shows that the model finds bugs.

use std::collections::HashSet;
use std::time::Duration;

use fastrand::Rng;
use queue::{Consumer, Delivery, Enqueued, QueueError, Repair, RepairKind, Settled};
use test_support::redis::RedisServer;
use webhook::{FinalState, Reason};

use crate::harness::{FAMILY, TestQueue, entry, webhook_id};

const STEPS: usize = 400;
/// Short enough that leases expire during a walk; some are shorter than any heartbeat.
const LEASE_MS: std::ops::Range<u64> = 5..80;
const ENQUEUE_TRIES_MAX: u32 = 100;
/// The servers to test, if they are installed.
const SERVERS: [&str; 2] = ["redis-server", "valkey-server"];

/// A violated invariant.
#[derive(Debug)]
pub(crate) struct Violation(pub(crate) String);

macro_rules! must {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(Violation(format!($($message)+)));
        }
    };
}

struct Walk {
    queue: TestQueue,
    rng: Rng,
    lease: Duration,
    consumers: Vec<Consumer>,
    hands: Vec<Delivery>,
    accepted: HashSet<String>,
    done: HashSet<String>,
    dead: HashSet<String>,
}

impl Walk {
    async fn step(&mut self) -> Result<(), Violation> {
        match self.rng.u32(..100) {
            0..25 => self.enqueue().await?,
            25..50 => self.receive().await?,
            50..80 => self.settle().await?,
            80..85 => self.settle_late().await?,
            85 => self.audit().await?,
            86 => self.ack_by_hand().await?,
            87 => self.redrive_or_discard().await?,
            88 => self.end_waits().await,
            89..92 => self.queue.command::<()>("SCRIPT FLUSH").await,
            92 => self.queue.command::<()>("XGROUP DESTROY events workers").await,
            93..95 => self.lose_a_reply().await,
            95..97 => self.cancel_a_read().await,
            97..99 => self.replace_a_consumer().await,
            _ => self.kill_redis(),
        }
        Ok(())
    }

    /// Retries until the event is acknowledged, as OpenAI does. Sometimes a reply is lost.
    async fn enqueue(&mut self) -> Result<(), Violation> {
        let id = format!("wh_{}", self.rng.u32(..150));
        let event = entry(&id);
        let mut accepted = self.accepted.contains(&id);
        let mut maybe_accepted = accepted;
        let mut tries = 0;
        loop {
            let patience = if self.rng.u32(..8) == 0 { self.rng.u64(..1500) } else { 10_000_000 };
            let enqueued = self.queue.producer.enqueue(FAMILY, &event);
            match tokio::time::timeout(Duration::from_micros(patience), enqueued).await {
                Ok(Ok(Enqueued::Added { .. })) => {
                    must!(!accepted, "{id} was enqueued twice");
                    accepted = true;
                }
                Ok(Ok(Enqueued::Duplicate)) => {
                    must!(maybe_accepted, "{id} is called a duplicate, but was never sent");
                    accepted = true;
                }
                Ok(Err(_)) | Err(_) => {}
            }
            maybe_accepted = true;
            if accepted {
                self.accepted.insert(id);
                return Ok(());
            }
            tries += 1;
            assert!(tries < ENQUEUE_TRIES_MAX, "{id} is never enqueued");
        }
    }

    async fn receive(&mut self) -> Result<(), Violation> {
        let at = self.rng.usize(..self.consumers.len());
        let free = self.rng.usize(1..5);
        let deliveries = tolerated(self.consumers[at].receive_now(free).await);
        must!(deliveries.len() <= free, "{} deliveries, but {free} were asked for", deliveries.len());
        for delivery in &deliveries {
            must!(!self.dead.contains(webhook_id(delivery)), "a dead letter came again");
        }
        self.hands.extend(deliveries);
        Ok(())
    }

    /// As `landfall retry --all` does.
    async fn end_waits(&self) {
        let Ok(waiting) = self.queue.admin.delayed(FAMILY).await else { return };
        let ids: Vec<String> = waiting.into_iter().map(|entry| entry.entry_id).collect();
        // If Redis is down, nothing was changed or the reply is lost.
        let _ = self.queue.admin.make_due(FAMILY, &ids).await;
    }

    async fn settle(&mut self) -> Result<(), Violation> {
        if self.hands.is_empty() {
            return Ok(());
        }
        let delivery = self.hands.swap_remove(self.rng.usize(..self.hands.len()));
        let ending = self.rng.u32(..10);
        self.end(delivery, ending).await
    }

    /// A worker is frozen for longer than its lease, another one takes over and may have finished, then the first one
    /// continues before its heartbeat can report the lost lease.
    async fn settle_late(&mut self) -> Result<(), Violation> {
        if self.hands.is_empty() {
            return Ok(());
        }
        let late = self.hands.swap_remove(self.rng.usize(..self.hands.len()));
        let id = late.entry_id.clone();
        let pending = format!("XPENDING events workers {id} {id} 1");
        if let [(_, holder, ..)] = &*self.ask::<Vec<(String, String, u64, u64)>>(&pending).await {
            let idle = format!("XCLAIM events workers {holder} 0 {id} IDLE 600000 JUSTID");
            self.queue.command::<Vec<String>>(&idle).await;
        }
        for at in 0..self.consumers.len() {
            let taken = tolerated(self.consumers[at].receive_now(3).await);
            self.hands.extend(taken);
        }
        let over = self.hands.iter().position(|other| other.entry_id == id);
        if let Some(at) = over
            && self.rng.u32(..4) > 0
        {
            let taken_over = self.hands.swap_remove(at);
            self.end(taken_over, 0).await?;
        }
        let ending = self.rng.u32(4..9);
        self.end(late, ending).await
    }

    async fn end(&mut self, delivery: Delivery, ending: u32) -> Result<(), Violation> {
        let id = webhook_id(&delivery).to_owned();
        let over = self.done.contains(&id) || self.dead.contains(&id);
        let delay = if self.rng.bool() { Duration::ZERO } else { Duration::from_millis(self.rng.u64(..300)) };
        let settled = match ending {
            0..2 => {
                delivery.ack().await.unwrap();
                self.done.insert(id);
                return Ok(());
            }
            2..4 => {
                self.ack_together(delivery).await;
                return Ok(());
            }
            4..6 => delivery.retry_after(delay, Reason::NotFound, "404").await.unwrap(),
            6 => delivery.snooze(delay).await.unwrap(),
            7 => delivery.release().await.unwrap(),
            8 => {
                let settled = delivery.dead_letter(Reason::Rejected, "400", None).await.unwrap();
                if settled == Settled::Done {
                    self.dead.insert(id.clone());
                }
                settled
            }
            _ => return Ok(()), // a crash: dropped, unsettled
        };
        must!(settled == Settled::LeaseLost || !over, "{id} was settled again after its end");
        Ok(())
    }

    /// Acks a delivery and up to three others, of any consumer, together.
    async fn ack_together(&mut self, delivery: Delivery) {
        let mut together = vec![delivery];
        for _ in 0..self.rng.usize(..4).min(self.hands.len()) {
            together.push(self.hands.swap_remove(self.rng.usize(..self.hands.len())));
        }
        let ids: Vec<String> = together.iter().map(|delivery| webhook_id(delivery).to_owned()).collect();
        for settled in
            Delivery::ack_all(together.into_iter().map(|one| (one, FinalState::Stored)).collect()).await
        {
            assert_eq!(settled.unwrap(), Settled::Done);
        }
        self.done.extend(ids);
    }

    /// Drops a reply.
    async fn lose_a_reply(&mut self) {
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg("workers").arg("c0").arg("COUNT").arg(2);
        command.arg("STREAMS").arg(self.queue.keys.events(FAMILY)).arg(">");
        command.query_async::<redis::Value>(&mut self.queue.raw().await).await.ok();
    }

    /// Entries only get stuck because of manual commands.
    async fn audit(&mut self) -> Result<(), Violation> {
        let at = self.rng.usize(..self.consumers.len());
        self.consumers[at].take_repairs();
        self.consumers[at].audit_now().await.ok();
        let stranded = |repair: &Repair| repair.kind == RepairKind::StrandedEntry;
        must!(!self.consumers[at].take_repairs().iter().any(stranded), "an entry was stranded");
        Ok(())
    }

    async fn ack_by_hand(&mut self) -> Result<(), Violation> {
        let Some(delivery) = self.hands.last() else {
            return Ok(());
        };
        let acked: u64 = self.ask(&format!("XACK events workers {}", delivery.entry_id)).await;
        let consumer = &mut self.consumers[0];
        consumer.take_repairs();
        if acked == 1 {
            // After a crash of Redis the first attempt fails.
            while consumer.audit_now().await.is_err() {
                tokio::task::yield_now().await;
            }
            let mended: u64 = consumer.take_repairs().iter().map(|repair| repair.count).sum();
            must!(mended >= 1, "what was acked by hand is not found");
        }
        Ok(())
    }

    async fn redrive_or_discard(&mut self) -> Result<(), Violation> {
        let Some(letter) = self.queue.admin.dead_letters(FAMILY, 1).await.unwrap().pop() else {
            return Ok(());
        };
        let id = letter.content.unwrap().webhook_id;
        // The model tracks events, not entries: a delivery that is still held belongs to the old entry.
        self.hands.retain(|delivery| webhook_id(delivery) != id);
        if self.rng.u32(..4) == 0 {
            must!(self.queue.admin.discard(FAMILY, &letter.id).await.unwrap(), "{id} was no dead letter");
            self.dead.remove(&id);
            self.done.insert(id);
        } else {
            let entry_id = self.queue.admin.redrive(FAMILY, &letter.id).await.unwrap();
            must!(entry_id.is_some(), "{id} was no dead letter");
            self.dead.remove(&id);
            self.done.remove(&id);
        }
        Ok(())
    }

    /// The reply to a command; the default if the group is missing.
    async fn ask<T: redis::FromRedisValue + Default>(&self, words: &str) -> T {
        self.queue.try_command(words).await.unwrap_or_default()
    }

    async fn cancel_a_read(&mut self) {
        let at = self.rng.usize(..self.consumers.len());
        let patience = Duration::from_micros(self.rng.u64(..3000));
        drop(tokio::time::timeout(patience, self.consumers[at].receive(3)).await);
    }

    async fn replace_a_consumer(&mut self) {
        let at = self.rng.usize(..self.consumers.len());
        let fresh = self.queue.consumer(&format!("c{}", self.rng.u32(..)), self.lease).await;
        let old = std::mem::replace(&mut self.consumers[at], fresh);
        if self.rng.bool() {
            old.remove().await;
        }
    }

    fn kill_redis(&mut self) {
        self.queue.server.kill();
        self.queue.server.resume();
    }

    /// Checks `XLEN = undelivered + pending + delayed`, and that every accepted event is in the stream, dead or done.
    async fn check(&self) -> Result<(), Violation> {
        let stats = self.queue.stats().await;
        let stream: Vec<(String, Vec<String>)> = self.queue.command("XRANGE events - +").await;
        // Without the group, delayed entries count as undelivered.
        must!(stats.backlog() == stream.len() as u64, "{} entries, but {stats:?}", stream.len());
        must!(stats.dead == self.dead.len() as u64, "{} dead letters, not {}", stats.dead, self.dead.len());
        let in_stream: HashSet<_> = stream.iter().map(|(_, fields)| fields[3].clone()).collect();
        must!(in_stream.len() == stream.len(), "an event is in the stream twice");
        for id in &self.accepted {
            let gone = self.done.contains(id) || self.dead.contains(id);
            must!(in_stream.contains(id) || gone, "{id} is lost");
            must!(!in_stream.contains(id) || !gone, "{id} is over, but in the stream");
        }
        Ok(())
    }

    /// Processes everything, as healthy workers would.
    async fn drain(&mut self) -> Result<(), Violation> {
        self.hands.clear();
        let deadline = tokio::time::Instant::now() + test_support::wait::DEADLINE;
        while self.queue.stats().await.backlog() > 0 {
            for delivery in tolerated(self.consumers[0].receive(10).await) {
                let id = webhook_id(&delivery).to_owned();
                delivery.ack().await.unwrap();
                self.done.insert(id);
            }
            must!(tokio::time::Instant::now() < deadline, "not drained");
        }
        self.check().await?;
        for key in ["delayed", "attempts"] {
            must!(!self.queue.command::<bool>(&format!("EXISTS {key}")).await, "{key} is left behind");
        }
        Ok(())
    }
}

/// Reading from a Redis that was just killed returns nothing, which is not a violation.
fn tolerated(received: Result<Vec<Delivery>, QueueError>) -> Vec<Delivery> {
    received.unwrap_or_else(|error| {
        assert!(error.is_retryable(), "{error:?}");
        Vec::new()
    })
}

/// A server that keeps acknowledged writes after a SIGKILL of the process. Surviving a crash of the machine would need an
/// fsync per write.
pub(crate) fn server(program: &str) -> RedisServer {
    RedisServer::start_program(program, &["--appendonly", "yes", "--appendfsync", "no"])
}

/// Runs one walk. The crate under test connects to `url`.
pub(crate) async fn walk(server: RedisServer, url: String, seed: u64) -> Result<(), Violation> {
    let mut rng = Rng::with_seed(seed);
    let lease = Duration::from_millis(rng.u64(LEASE_MS));
    let queue = TestQueue::at(server, url);
    let consumers = vec![queue.consumer("c0", lease).await, queue.consumer("c1", lease).await];
    let (hands, accepted, done, dead) = (Vec::new(), HashSet::new(), HashSet::new(), HashSet::new());
    let mut walk = Walk { queue, rng, lease, consumers, hands, accepted, done, dead };
    for _ in 0..STEPS {
        walk.step().await?;
        walk.check().await?;
    }
    walk.drain().await?;
    assert!(walk.accepted.len() > 50 && walk.done.len() > 20, "the walk did too little");
    Ok(())
}

#[tokio::test]
async fn no_walk_loses_or_doubles_an_event() {
    for program in SERVERS.into_iter().filter(|program| RedisServer::is_installed(program)) {
        for seed in 1..=6 {
            let server = server(program);
            let url = server.url();
            let ended = walk(server, url, seed).await;
            assert!(ended.is_ok(), "{program}, seed {seed}: {}", ended.unwrap_err().0);
        }
    }
}
