//! Network faults between the queue and Redis: everything recovers within seconds, and nothing is lost or stuck.

use std::collections::HashSet;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use queue::{Consumer, Enqueued};
use test_support::network::Network;
use test_support::redis::RedisServer;
use test_support::wait::{self, DEADLINE};
use tokio::time::{Instant, timeout};

use crate::harness::{FAMILY, LONG, TestQueue, entry, network_url, one_in_the_end, webhook_id};

/// The maximum recovery time: the blocking read notices last, after two seconds plus its timeout of five.
const RECOVERY_MAX: Duration = Duration::from_secs(12);

async fn behind_a_network() -> (Network, TestQueue) {
    let server = RedisServer::start();
    let network = Network::start(server.port()).await;
    let url = network_url(&network);
    (network, TestQueue::at(server, url))
}

/// Retries until the event is accepted, as OpenAI does.
async fn enqueue_until_accepted(queue: &TestQueue, id: &str) -> Enqueued {
    let event = entry(id);
    let started = Instant::now();
    loop {
        if let Ok(enqueued) = queue.producer.enqueue(FAMILY, &event).await {
            return enqueued;
        }
        assert!(started.elapsed() < DEADLINE, "{id} is never enqueued");
        tokio::task::yield_now().await;
    }
}

/// Acks everything; asserts that it is exactly these events, each once, and that nothing is left.
async fn drain(queue: &TestQueue, consumer: &mut Consumer, expected: &HashSet<String>) {
    let mut seen = HashSet::new();
    while seen.len() < expected.len() {
        let delivery = one_in_the_end(consumer).await;
        let id = webhook_id(&delivery).to_owned();
        assert_eq!(delivery.crashes, 0, "{id}: there was no crash");
        delivery.ack().await.unwrap();
        assert!(expected.contains(&id), "{id} was never sent");
        seen.insert(id);
    }
    let stats = queue.stats().await;
    assert_eq!((stats.backlog(), queue.command::<u64>("XLEN events").await), (0, 0));
    assert!(!queue.command::<bool>("EXISTS delayed attempts").await);
}

fn ids(name: &str, count: usize) -> HashSet<String> {
    (0..count).map(|number| format!("wh_{name}_{number}")).collect()
}

#[tokio::test]
async fn a_black_hole_costs_time_and_no_event() {
    let (network, queue) = behind_a_network().await;
    let mut consumer = queue.consumer("a", LONG).await;
    let ids = ids("hole", 50);
    network.black_hole(true);
    let refused = join_all(ids.iter().map(async |id| queue.producer.enqueue(FAMILY, &entry(id)).await)).await;
    assert!(refused.iter().all(|answer| answer.as_ref().is_err_and(|error| error.label() == "timeout")));
    network.black_hole(false);
    let ended = Instant::now();
    join_all(ids.iter().map(|id| enqueue_until_accepted(&queue, id))).await;
    drain(&queue, &mut consumer, &ids).await;
    assert!(ended.elapsed() < RECOVERY_MAX, "{:?}", ended.elapsed());
}

#[tokio::test]
async fn a_half_open_connection_is_replaced_within_seconds() {
    let (network, queue) = behind_a_network().await;
    let mut consumer = queue.consumer("a", LONG).await;
    enqueue_until_accepted(&queue, "wh_before").await;
    let held = one_in_the_end(&mut consumer).await;
    network.half_open();
    let ended = Instant::now();
    let ids = ids("half", 100);
    join_all(ids.iter().map(|id| enqueue_until_accepted(&queue, id))).await;
    drain_beside(&mut consumer, &ids).await;
    held.ack().await.unwrap();
    assert!(ended.elapsed() < RECOVERY_MAX, "{:?}", ended.elapsed());
    assert_eq!(queue.stats().await.backlog(), 0);
}

/// Acks exactly these events.
async fn drain_beside(consumer: &mut Consumer, expected: &HashSet<String>) {
    let mut seen = HashSet::new();
    while seen.len() < expected.len() {
        let delivery = one_in_the_end(consumer).await;
        let id = webhook_id(&delivery).to_owned();
        delivery.ack().await.unwrap();
        assert!(expected.contains(&id), "{id}");
        seen.insert(id);
    }
}

#[tokio::test]
async fn an_answer_cut_anywhere_is_neither_a_loss_nor_a_second_entry() {
    let (network, queue) = behind_a_network().await;
    let mut consumer = queue.consumer("a", LONG).await;
    for after_bytes in [0, 1, 4, 20, 50, 200] {
        let ids = ids(&format!("cut_{after_bytes}"), 5);
        for id in &ids {
            network.cut_answers(after_bytes, 1);
            enqueue_until_accepted(&queue, id).await;
            assert_eq!(enqueue_until_accepted(&queue, id).await, Enqueued::Duplicate);
        }
        assert_eq!(queue.command::<usize>("XLEN events").await, ids.len());
        // The same for replies with entries, and for replies to acks.
        network.cut_answers(after_bytes, 2);
        drain(&queue, &mut consumer, &ids).await;
        assert_eq!(network.cuts_left(), 0);
    }
}

#[tokio::test]
async fn a_slow_network_loses_no_lease() {
    let (network, queue) = behind_a_network().await;
    let lease = Duration::from_secs(2);
    let (mut a, mut b) = (queue.consumer("a", lease).await, queue.consumer("b", lease).await);
    network.delay(Duration::from_millis(100));
    enqueue_until_accepted(&queue, "wh_slow").await;
    let held = one_in_the_end(&mut a).await;
    let started = Instant::now();
    while started.elapsed() < lease * 2 {
        assert!(b.receive(1).await.unwrap().is_empty(), "taken over after {:?}", started.elapsed());
    }
    assert!(!held.lease_lost().is_cancelled());
    held.ack().await.unwrap();
}

/// All faults at random, under load.
#[tokio::test]
async fn no_network_fault_loses_an_event() {
    for seed in 1..=2 {
        let (network, queue) = behind_a_network().await;
        let mut rng = Rng::with_seed(seed);
        // After a failed ack, the delivery waits for its lease to expire.
        let mut consumer = queue.consumer("a", Duration::from_secs(2)).await;
        let ids = ids(&format!("weather_{seed}"), 200);
        let mut waiting = ids.iter();
        let mut seen = HashSet::new();
        for _ in 0..8 {
            match rng.u32(..6) {
                0 => network.black_hole(true),
                1 => network.silence(),
                2 => network.half_open(),
                3 => network.cut_answers(rng.usize(..300), rng.u32(1..20)),
                4 => network.delay(Duration::from_millis(rng.u64(1..20))),
                _ => {}
            }
            let sent: Vec<&String> = waiting.by_ref().take(25).collect();
            let patience = Duration::from_millis(rng.u64(50..700));
            let sending = join_all(sent.iter().map(|id| enqueue_until_accepted(&queue, id)));
            let taking = take_some(&mut consumer, &mut seen);
            drop(timeout(patience, async { tokio::join!(sending, taking) }).await);
            network.black_hole(false);
            network.delay(Duration::ZERO);
            join_all(sent.iter().map(|id| enqueue_until_accepted(&queue, id))).await;
        }
        let rest: HashSet<String> = ids.difference(&seen).cloned().collect();
        drain_what_comes(&queue, &mut consumer, &mut seen).await;
        assert_eq!(seen, ids, "seed {seed}; {} came in the end", rest.len());
    }
}

/// Acks deliveries until it is cancelled.
async fn take_some(consumer: &mut Consumer, seen: &mut HashSet<String>) {
    loop {
        for delivery in consumer.receive(10).await.unwrap_or_default() {
            seen.insert(webhook_id(&delivery).to_owned());
            // A delivery whose ack fails is delivered again.
            drop(delivery.ack().await);
        }
        tokio::task::yield_now().await;
    }
}

async fn drain_what_comes(queue: &TestQueue, consumer: &mut Consumer, seen: &mut HashSet<String>) {
    let emptied = wait::until("the stream to be empty", async || {
        (queue.command::<u64>("XLEN events").await == 0).then_some(())
    });
    tokio::select! {
        () = take_some(consumer, seen) => {}
        () = emptied => {}
    }
}
