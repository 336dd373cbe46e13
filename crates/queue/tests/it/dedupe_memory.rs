//! The memory of dedupe records, and that they never fill Redis.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use queue::{Enqueued, MemoryLevel, MemoryReport, MemoryUse, Producer};
use redis::aio::MultiplexedConnection;
use test_support::redis::RedisServer;

use crate::harness::{FAMILY, TestQueue, entry};

/// Events enqueued concurrently.
const TOGETHER: usize = 1000;

/// Enqueues `count` new events, numbered from `from`; all must be added.
async fn add(producer: &Producer, from: usize, count: usize) {
    let events: Vec<_> = (from..from + count).map(|n| entry(&format!("wh_{n}"))).collect();
    for answer in join_all(events.iter().map(|event| producer.enqueue(FAMILY, event))).await {
        assert!(matches!(answer, Ok(Enqueued::Added { .. })), "{answer:?}");
    }
}

/// Reads and acks all new entries.
async fn consume(queue: &TestQueue, connection: &mut MultiplexedConnection) {
    let events = queue.keys.events(FAMILY);
    let mut read = redis::cmd("XREADGROUP");
    read.arg("GROUP").arg("workers").arg("c").arg("COUNT").arg(TOGETHER).arg("STREAMS").arg(&events).arg(">");
    let streams: Vec<(String, Vec<(String, redis::Value)>)> = read.query_async(connection).await.unwrap();
    let ids: Vec<&String> = streams.iter().flat_map(|(_, entries)| entries).map(|(id, _)| id).collect();
    let mut settle = redis::pipe();
    settle.cmd("XACK").arg(&events).arg("workers").arg(&ids).cmd("XDEL").arg(&events).arg(&ids);
    settle.query_async::<()>(connection).await.unwrap();
}

/// The measurements of a run.
#[derive(Debug, Default)]
struct Run {
    used_share_max: f64,
    dropped_generations: u32,
    seconds: f64,
    memory: Option<MemoryReport>,
}

/// Sends events through a Redis with this `maxmemory` and a window of 80 seconds, with the memory management of `ingest`.
async fn pour(events: usize, maxmemory: &str) -> Run {
    let queue = TestQueue::on(RedisServer::start_with(&["--maxmemory", maxmemory]));
    let producer = Producer::new(&queue.config, 1_000_000, Duration::from_secs(80)).unwrap();
    producer.create_groups().await.unwrap();
    let mut connection = queue.raw().await;
    let (started, mut run) = (Instant::now(), Run::default());
    for from in (0..events).step_by(TOGETHER) {
        add(&producer, from, TOGETHER).await;
        consume(&queue, &mut connection).await;
        if from % (20 * TOGETHER) == 0 {
            let share = queue.admin.memory_used().await.unwrap().unwrap();
            run.used_share_max = run.used_share_max.max(share);
            if MemoryLevel::of(share) > MemoryLevel::Normal {
                let newest_too = share >= 0.8;
                let dropped = queue.admin.drop_oldest_dedupe_records(newest_too).await.unwrap();
                run.dropped_generations += u32::from(dropped);
            }
        }
    }
    run.seconds = started.elapsed().as_secs_f64();
    run.memory = queue.admin.memory_report().await.unwrap();
    run
}

/// With a key of 149 bytes per event, Redis would be full after half of them.
#[tokio::test]
async fn two_hundred_thousand_events_fit_through_a_small_redis() {
    let run = pour(200_000, "16mb").await;
    println!("{run:?}");
    assert!(MemoryLevel::of(run.used_share_max) < MemoryLevel::NearlyFull, "{run:?}");
}

#[tokio::test]
#[ignore = "takes minutes: cargo test -p queue --test it five_million -- --ignored --nocapture"]
async fn five_million_events_fit_through_a_redis_of_half_a_gigabyte() {
    let run = pour(5_000_000, "512mb").await;
    println!("{run:?}");
    assert!(MemoryLevel::of(run.used_share_max) < MemoryLevel::NearlyFull, "{run:?}");
}

/// The growth of Redis per event, without the entries.
async fn bytes_per_event(events: usize, intset_max: &str) -> f64 {
    let queue = TestQueue::on(RedisServer::start_with(&["--set-max-intset-entries", intset_max]));
    let used = async || {
        let memory = queue.admin.memory_report().await.unwrap().unwrap();
        memory.used_bytes as f64
    };
    add(&queue.producer, 0, TOGETHER).await;
    queue.command::<()>("FLUSHALL").await;
    let before = used().await;
    for from in (0..events).step_by(TOGETHER) {
        add(&queue.producer, from, TOGETHER).await;
        queue.command::<()>("DEL events").await;
    }
    (used().await - before) / events as f64
}

#[tokio::test]
async fn a_record_takes_less_than_forty_bytes() {
    let bytes = bytes_per_event(20_000, "512").await;
    assert!((8.0..40.0).contains(&bytes), "{bytes}");
}

#[tokio::test]
#[ignore = "takes minutes: cargo test -p queue --test it bytes_per_event_table -- --ignored --nocapture"]
async fn bytes_per_event_table() {
    println!("| events of a generation | Redis' default of 512 | 4096 |\n|---:|---:|---:|");
    for events in [12_000, 50_000, 200_000, 500_000, 1_000_000, 1_500_000] {
        let by_default = bytes_per_event(events, "512").await;
        let raised = bytes_per_event(events, "4096").await;
        println!("| {events} | {by_default:.1} | {raised:.1} |");
        assert!(raised < 40.0 && (by_default < 40.0 || events > 1_000_000), "{events}");
    }
}

#[tokio::test]
async fn the_memory_report_says_what_fills_redis() {
    let queue = TestQueue::on(RedisServer::start_with(&["--maxmemory", "100mb"]));
    add(&queue.producer, 0, 3000).await;
    let memory = queue.admin.memory_report().await.unwrap().unwrap();
    assert!((2000..4000).contains(&memory.dedupe_records), "{memory:?}");
    assert!((3000 * 8..3000 * 200).contains(&memory.dedupe_bytes), "{memory:?}");
    assert_eq!(memory.limit_bytes, Some(100 << 20));
    assert!(memory.backlog_bytes > 3000 * 50 && memory.dead_letter_bytes == 0, "{memory:?}");

    queue.command::<()>("RENAME events dead").await;
    let memory = queue.admin.memory_report().await.unwrap().unwrap();
    assert!(memory.dead_letter_bytes > 3000 * 50 && memory.backlog_bytes == 0, "{memory:?}");

    queue.command::<()>(&format!("SETRANGE foreign {} x", 30 << 20)).await;
    let memory = queue.admin.memory_report().await.unwrap().unwrap();
    assert_eq!(memory.largest(), MemoryUse::Other);
    assert!(memory.bytes(MemoryUse::Other) > 30 << 20, "{memory:?}");
    queue.command::<()>("ACL SETUSER default -memory").await;
    assert_eq!(queue.admin.memory_report().await.unwrap(), None, "a service may refuse it");
    assert!(queue.admin.memory_used().await.unwrap().is_some());
}
