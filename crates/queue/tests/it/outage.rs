//! Redis crashes, hangs and recovers; producers and consumers continue.

use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use queue::{EnqueueError, Settled};
use test_support::network::Network;
use test_support::redis::RedisServer;
use test_support::wait;
use tokio::task::JoinSet;
use webhook::Reason;

use crate::harness::{FAMILY, LONG, TestQueue, entry, network_url, one, one_in_the_end, webhook_id};

fn signal(queue: &TestQueue, name: &str) {
    let pid = queue.server.pid().to_string();
    assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
}

#[tokio::test]
async fn acknowledged_events_survive_a_kill_and_clients_continue() {
    let mut queue = TestQueue::start();
    let mut consumer = queue.consumer("a", LONG).await;
    for round in 0..3 {
        let (before, delayed) = (format!("wh_{round}_before"), format!("wh_{round}_delayed"));
        queue.add(&delayed).await;
        one(&mut consumer).await.retry_after(Duration::ZERO, Reason::NotFound, "404").await.unwrap();
        queue.add(&before).await;
        queue.server.kill();
        let refused = queue.producer.enqueue(FAMILY, &entry("wh_down")).await;
        assert!(matches!(refused, Err(EnqueueError::Unavailable(_))), "{refused:?}");
        assert!(consumer.receive(1).await.unwrap_err().is_retryable());
        queue.server.resume();

        let mut seen = Vec::new();
        for _ in 0..2 {
            let delivery = one_in_the_end(&mut consumer).await;
            assert_eq!(delivery.crashes, 0);
            seen.push((webhook_id(&delivery).to_owned(), delivery.attempt));
            delivery.ack().await.unwrap();
        }
        assert_eq!(seen, [(delayed, 2), (before, 1)]);
        queue.add(&format!("wh_{round}_after")).await;
        one(&mut consumer).await.ack().await.unwrap();
    }
    assert_eq!(queue.stats().await.backlog(), 0);
}

#[tokio::test]
async fn a_blocked_reader_survives_the_death_of_redis() {
    let mut queue = TestQueue::start();
    let mut consumer = queue.consumer("a", LONG).await;
    let waiting = tokio::spawn(async move {
        let delivery = one_in_the_end(&mut consumer).await;
        webhook_id(&delivery).to_owned()
    });
    wait::until("a blocked admin", async || {
        let clients: String = queue.command("INFO clients").await;
        clients.contains("blocked_clients:1").then_some(())
    })
    .await;
    queue.server.kill();
    queue.server.resume();
    queue.add("wh_1").await;
    assert_eq!(waiting.await.unwrap(), "wh_1");
}

#[tokio::test]
async fn settling_waits_for_a_redis_that_comes_back() {
    let mut queue = TestQueue::start();
    queue.add("wh_1").await;
    queue.add("wh_2").await;
    let mut consumer = queue.consumer("a", LONG).await;
    let mut deliveries = consumer.receive(2).await.unwrap();
    queue.server.kill();
    let ack = tokio::spawn(deliveries.pop().unwrap().ack());
    let retry = tokio::spawn(deliveries.pop().unwrap().retry_after(LONG, Reason::NotFound, "404"));
    assert!(queue.admin.ping().await.is_err());
    queue.server.resume();
    assert_eq!(ack.await.unwrap().unwrap(), Settled::Done);
    assert_eq!(retry.await.unwrap().unwrap(), Settled::Done);
    let stats = queue.stats().await;
    assert_eq!((stats.pending, stats.delayed), (0, 1));
}

#[tokio::test]
async fn a_redis_that_hangs_times_out_sheds_load_and_is_used_again() {
    let queue = TestQueue::start();
    queue.add("wh_0").await;
    signal(&queue, "STOP");
    let events: Vec<_> = (0..5000).map(|n| entry(&format!("wh_hung_{n}"))).collect();
    let answers = join_all(events.iter().map(|event| queue.producer.enqueue(FAMILY, event))).await;
    let labels: Vec<_> = answers.iter().map(|answer| answer.as_ref().unwrap_err().label()).collect();
    assert_eq!(labels.iter().filter(|label| **label == "overloaded").count(), 5000 - 4096);
    assert_eq!(labels.iter().filter(|label| **label == "timeout").count(), 4096);
    signal(&queue, "CONT");
    queue.add("wh_1").await;
    // An event whose reply was lost is now either a duplicate or new, but never both.
    join_all(events[..100].iter().map(|event| queue.producer.enqueue(FAMILY, event))).await;
    let mut consumer = queue.consumer("a", LONG).await;
    let mut ids: Vec<_> = consumer
        .receive_now(5000)
        .await
        .unwrap()
        .iter()
        .map(|delivery| webhook_id(delivery).to_owned())
        .collect();
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert!(ids.len() == all && all >= 102, "{} of {all}", ids.len());
}

#[tokio::test]
async fn an_event_behind_a_redis_that_hangs_waits_for_one_timeout() {
    const TIME_OUT: Duration = Duration::from_secs(2);
    let queue = TestQueue::start();
    // One after the other, so that each connection of the producer is open.
    for n in 0..4 {
        queue.add(&format!("wh_{n}")).await;
    }
    signal(&queue, "STOP");
    let started = Instant::now();
    let mut answers = JoinSet::new();
    // More batches than the in-flight limit: each event is in flight or waits for a permit before the next one is sent.
    for n in 0..8 {
        let producer = queue.producer.clone();
        answers.spawn(async move { producer.enqueue(FAMILY, &entry(&format!("wh_{n}_hung"))).await });
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    for answer in answers.join_all().await {
        assert_eq!(answer.unwrap_err().label(), "timeout");
    }
    let took = started.elapsed();
    // Waiting for the timeout of another one and then for a new connection would take three seconds.
    assert!(took >= TIME_OUT && took < TIME_OUT * 11 / 8, "{took:?}");
    signal(&queue, "CONT");
}

#[tokio::test]
async fn unresponsive_peers_are_replaced_by_new_connections() {
    let server = RedisServer::start();
    let network = Network::start(server.port()).await;
    let queue = TestQueue::at(server, network_url(&network));
    let mut consumer = queue.consumer("a", LONG).await;
    // One after the other, so that each connection of the producer is open.
    for n in 0..100 {
        queue.add(&format!("wh_{n}")).await;
    }
    for delivery in consumer.receive(100).await.unwrap() {
        delivery.ack().await.unwrap();
    }
    network.silence();
    // redis-rs does not close such a socket; only timeouts detect it.
    let events: Vec<_> = (0..100).map(|n| entry(&format!("wh_silent_{n}"))).collect();
    let answers = join_all(events.iter().map(|event| queue.producer.enqueue(FAMILY, event))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_err_and(|error| error.label() == "timeout")));
    queue.add("wh_after").await;
    assert_eq!(webhook_id(&one_in_the_end(&mut consumer).await), "wh_after");
}

#[tokio::test]
async fn a_demoted_primary_is_replaced_by_the_new_one() {
    let (old, new) = (RedisServer::start(), RedisServer::start());
    let network = Network::start(old.port()).await;
    let queue = TestQueue::at(old, network_url(&network));
    let mut consumer = queue.consumer("a", LONG).await;
    queue.add("wh_1").await;
    one(&mut consumer).await.ack().await.unwrap();
    // Open connections stay connected to the old primary, as after a failover behind one DNS name.
    network.set_target(new.port());
    queue.command::<()>("REPLICAOF 127.0.0.1 1").await;
    let mut refusals = 0;
    while let Err(error) = queue.producer.enqueue(FAMILY, &entry("wh_2")).await {
        assert_eq!(error.label(), "read_only");
        refusals += 1;
        assert!(refusals <= 16, "each connection is refused once");
    }
    assert_eq!(webhook_id(&one_in_the_end(&mut consumer).await), "wh_2");
}
