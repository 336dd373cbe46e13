//! Random walks over everything the queue can do, against a model that only counts: every event is in exactly one
//! place, and none is ever lost.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use fastrand::Rng;
use queue::{Consumer, Delivery, Enqueued, Settled};
use test_support::redis::RedisServer;
use webhook::Reason;

use crate::harness::{FAMILY, TestQueue, entry, webhook_id};

const STEPS: usize = 400;
/// Short enough that leases run out within a walk.
const LEASE: Duration = Duration::from_millis(40);

struct Walk {
    queue: TestQueue,
    rng: Rng,
    consumers: Vec<Consumer>,
    hands: Vec<Delivery>,
    /// Failed attempts of every event that was accepted.
    accepted: HashMap<String, u32>,
    done: HashSet<String>,
    dead: HashSet<String>,
}

impl Walk {
    async fn step(&mut self) {
        match self.rng.u32(..100) {
            0..30 => self.enqueue().await,
            30..60 => self.receive().await,
            60..95 => self.settle().await,
            95 => self.queue.command::<()>("SCRIPT FLUSH").await,
            96 => self.queue.command::<()>("XGROUP DESTROY events workers").await,
            97 => self.lose_a_reply().await,
            98 => self.cancel_a_read().await,
            _ => self.replace_a_consumer().await,
        }
    }

    async fn enqueue(&mut self) {
        let id = format!("wh_{}", self.rng.u32(..150));
        let answer = self.queue.producer.enqueue(FAMILY, &entry(&id)).await.unwrap();
        let is_new = self.accepted.insert(id.clone(), 0).is_none();
        if !is_new {
            assert_eq!(answer, Enqueued::Duplicate, "{id}");
        }
        assert_eq!(matches!(answer, Enqueued::Added { .. }), is_new);
    }

    async fn receive(&mut self) {
        let at = self.rng.usize(..self.consumers.len());
        let free = self.rng.usize(1..5);
        let deliveries = self.consumers[at].receive_now(free).await.unwrap();
        assert!(deliveries.len() <= free);
        for delivery in &deliveries {
            assert!(!self.dead.contains(webhook_id(delivery)), "a dead letter came again");
        }
        self.hands.extend(deliveries);
    }

    async fn settle(&mut self) {
        if self.hands.is_empty() {
            return;
        }
        let delivery = self.hands.swap_remove(self.rng.usize(..self.hands.len()));
        let id = webhook_id(&delivery).to_owned();
        let delay = if self.rng.bool() { Duration::ZERO } else { Duration::from_millis(self.rng.u64(..300)) };
        match self.rng.u32(..10) {
            0..4 => {
                assert_eq!(delivery.ack().await.unwrap(), Settled::Done);
                self.done.insert(id);
            }
            4..6 => {
                let settled = delivery.retry_after(delay, Reason::NotFound, "404").await.unwrap();
                assert!(settled == Settled::LeaseLost || !self.done.contains(&id));
            }
            6 => drop(delivery.snooze(delay).await.unwrap()),
            7 => drop(delivery.hand_back().await.unwrap()),
            8 => {
                if delivery.dead_letter(Reason::Rejected, "400").await.unwrap() == Settled::Done {
                    assert!(self.dead.insert(id), "given up twice");
                }
            }
            _ => drop(delivery),
        }
    }

    /// An answer that reaches nobody.
    async fn lose_a_reply(&mut self) {
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg("workers").arg("c0").arg("COUNT").arg(2);
        command.arg("STREAMS").arg(self.queue.keys.events(FAMILY)).arg(">");
        command.query_async::<redis::Value>(&mut self.queue.raw().await).await.ok();
    }

    async fn cancel_a_read(&mut self) {
        let at = self.rng.usize(..self.consumers.len());
        let patience = Duration::from_micros(self.rng.u64(..3000));
        drop(tokio::time::timeout(patience, self.consumers[at].receive(3)).await);
    }

    async fn replace_a_consumer(&mut self) {
        let at = self.rng.usize(..self.consumers.len());
        let fresh = self.queue.consumer(&format!("c{}", self.rng.u32(..)), LEASE).await;
        let old = std::mem::replace(&mut self.consumers[at], fresh);
        if self.rng.bool() {
            old.remove().await;
        }
    }

    /// `XLEN = undelivered + pending + delayed`, and every event that was accepted is in the stream, dead or done.
    async fn check(&self) {
        let stats = self.queue.stats().await;
        let stream: Vec<(String, Vec<String>)> = self.queue.command("XRANGE events - +").await;
        // Without the group, delayed entries count as undelivered.
        assert_eq!(stats.backlog(), stream.len() as u64, "{stats:?}");
        assert_eq!(stats.dead, self.dead.len() as u64);
        let in_stream: HashSet<_> = stream.iter().map(|(_, fields)| fields[3].clone()).collect();
        assert_eq!(in_stream.len(), stream.len(), "an event is in the stream twice");
        for id in self.accepted.keys() {
            let gone = self.done.contains(id) || self.dead.contains(id);
            assert!(in_stream.contains(id) != gone, "{id}: in the stream {}", in_stream.contains(id));
        }
    }

    /// Works everything off, as healthy workers would.
    async fn drain(&mut self) {
        self.hands.clear();
        let deadline = tokio::time::Instant::now() + test_support::wait::DEADLINE;
        while self.queue.stats().await.backlog() > 0 {
            for delivery in self.consumers[0].receive(10).await.unwrap() {
                let id = webhook_id(&delivery).to_owned();
                delivery.ack().await.unwrap();
                self.done.insert(id);
            }
            assert!(tokio::time::Instant::now() < deadline, "not drained");
        }
        self.check().await;
        for key in ["delayed", "attempts"] {
            assert!(!self.queue.command::<bool>(&format!("EXISTS {key}")).await, "{key} is left behind");
        }
    }
}

async fn walk(seed: u64) {
    let queue = TestQueue::on(RedisServer::start_with(&[]));
    let consumers = vec![queue.consumer("c0", LEASE).await, queue.consumer("c1", LEASE).await];
    let mut walk = Walk {
        queue,
        rng: Rng::with_seed(seed),
        consumers,
        hands: Vec::new(),
        accepted: HashMap::new(),
        done: HashSet::new(),
        dead: HashSet::new(),
    };
    for _ in 0..STEPS {
        walk.step().await;
        walk.check().await;
    }
    walk.drain().await;
    assert!(walk.accepted.len() > 50 && walk.done.len() > 20, "the walk did too little");
}

#[tokio::test]
async fn no_walk_loses_or_doubles_an_event() {
    for seed in 1..=5 {
        walk(seed).await;
    }
}
