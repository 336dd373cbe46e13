//! A Redis with a full disk, a paused one and a loading one: acknowledged events are kept, and everything recovers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use queue::{Consumer, EnqueueError, Enqueued};
use tempfile::TempDir;
use test_support::redis::RedisServer;
use test_support::wait;

use crate::harness::{FAMILY, LONG, TestQueue, entry, one_in_the_end, webhook_id};

/// A Redis with a file size limit, which simulates a full disk. The folder contains the program that starts it, and must
/// outlive it.
fn on_a_disk_that_fills(fsync: &str) -> (TempDir, TestQueue) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("redis-server-that-survives-sigxfsz");
    fs::write(&program, "#!/bin/sh\ntrap '' XFSZ\nexec redis-server \"$@\"\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let arguments = ["--appendonly", "yes", "--appendfsync", fsync];
    (folder, TestQueue::on(RedisServer::start_program(program.to_str().unwrap(), &arguments)))
}

/// Limits the size of the server's files; `None` removes the limit.
fn limit_files(queue: &TestQueue, bytes: Option<u64>) {
    let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
    let pid = queue.server.pid().to_string();
    let status =
        Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={limit}:unlimited")]).status();
    assert!(status.unwrap().success());
}

/// The current size of the append-only file.
fn appended_bytes(queue: &TestQueue) -> u64 {
    let folder = fs::read_dir(queue.server.folder().join("appendonlydir")).unwrap();
    folder.map(|file| file.unwrap().metadata().unwrap().len()).max().unwrap()
}

/// Enqueues new events until one is refused. Returns the accepted ones and the error.
async fn fill(queue: &TestQueue) -> (Vec<String>, EnqueueError) {
    let mut accepted = Vec::new();
    loop {
        let id = format!("wh_{}", accepted.len());
        match queue.producer.enqueue(FAMILY, &entry(&id)).await {
            Ok(enqueued) => assert!(matches!(enqueued, Enqueued::Added { .. })),
            Err(error) => return (accepted, error),
        }
        accepted.push(id);
        assert!(accepted.len() < 1000, "the disk is never full");
    }
}

/// Acks what comes until nothing is left; all these must come.
async fn drain(queue: &TestQueue, consumer: &mut Consumer, mut expected: Vec<String>) {
    while !expected.is_empty() {
        let delivery = one_in_the_end(consumer).await;
        expected.retain(|id| id != webhook_id(&delivery));
        delivery.ack().await.unwrap();
    }
    for delivery in consumer.receive_now(100).await.unwrap() {
        delivery.ack().await.unwrap();
    }
    assert_eq!(queue.command::<u64>("XLEN events").await, 0);
}

#[tokio::test]
async fn a_redis_that_cannot_append_refuses_events_until_its_disk_has_room() {
    let (_program, queue) = on_a_disk_that_fills("everysec");
    let mut consumer = queue.consumer("a", LONG).await;
    queue.add("wh_first").await;
    let held = one_in_the_end(&mut consumer).await;
    limit_files(&queue, Some(appended_bytes(&queue) + 4000));
    let (accepted, error) = fill(&queue).await;
    assert_eq!(error.label(), "refused", "{error:?}");
    assert!(consumer.receive_now(1).await.unwrap_err().is_retryable(), "a worker waits as well");

    // In the meantime, settling waits and needs no notification.
    let settling = tokio::spawn(held.ack());
    limit_files(&queue, None);
    settling.await.unwrap().unwrap();
    let again = async || queue.producer.enqueue(FAMILY, &entry("wh_after")).await.ok();
    wait::until("events to be enqueued again", again).await;
    drain(&queue, &mut consumer, [accepted, vec!["wh_after".to_owned()]].concat()).await;
}

#[tokio::test]
async fn a_redis_that_dies_of_a_full_disk_comes_back_with_what_was_acknowledged() {
    let (_program, mut queue) = on_a_disk_that_fills("always");
    let mut consumer = queue.consumer("a", LONG).await;
    limit_files(&queue, Some(appended_bytes(&queue) + 20_000));
    let (accepted, error) = fill(&queue).await;
    assert!(accepted.len() > 5, "{}", accepted.len());
    assert!(["unavailable", "timeout"].contains(&error.label()), "{error:?}");
    queue.server.ended();
    queue.server.resume();
    drain(&queue, &mut consumer, accepted).await;
}

#[tokio::test]
async fn a_redis_that_hangs_is_waited_for_and_gets_each_event_once() {
    let queue = TestQueue::start();
    let mut consumer = queue.consumer("a", LONG).await;
    queue.add("wh_0").await;
    let held = one_in_the_end(&mut consumer).await;
    queue.command::<()>("CLIENT PAUSE 3500 WRITE").await;
    let refused = queue.producer.enqueue(FAMILY, &entry("wh_1")).await.unwrap_err();
    assert_eq!(refused.label(), "timeout");
    held.ack().await.unwrap();
    let accepted = async || queue.producer.enqueue(FAMILY, &entry("wh_1")).await.ok();
    wait::until("the event to be enqueued", accepted).await;
    assert_eq!(queue.command::<u64>("XLEN events").await, 1);
    drain(&queue, &mut consumer, vec!["wh_1".to_owned()]).await;
}

#[tokio::test]
async fn a_redis_that_is_loading_is_waited_for() {
    // Microseconds per loaded command; the server handles other events after every 1024 commands.
    let slow = ["--appendonly", "yes", "--appendfsync", "always", "--key-load-delay", "300"];
    let mut queue = TestQueue::on(RedisServer::start_with(&slow));
    let ballast = "for i = 1, 12000 do redis.call('SET', 'ballast', i) end";
    redis::cmd("EVAL").arg(ballast).arg(0).exec_async(&mut queue.raw().await).await.unwrap();
    let mut consumer = queue.consumer("a", LONG).await;
    let ids: Vec<String> = (0..50).map(|number| format!("wh_{number}")).collect();
    for id in &ids {
        queue.add(id).await;
    }
    queue.server.kill();
    queue.server.resume_without_waiting();
    let refused = async || {
        let refused = queue.producer.enqueue(FAMILY, &entry("wh_new")).await.err()?;
        (refused.label() == "loading").then_some(())
    };
    wait::until("Redis to say that it is loading", refused).await;
    assert!(consumer.receive_now(1).await.unwrap_err().is_retryable());
    drain(&queue, &mut consumer, ids).await;
}
