//! Version 1 of the entry format, as `redis-cli --raw XRANGE` prints it. Never edit the file: existing installations have
//! such entries in Redis.

use futures_util::future::join_all;
use queue::{ENTRY_VERSION, Entry};

use crate::harness::{FAMILY, LONG, TestQueue, one};

const VERSION_1: &str = include_str!("../golden/entry-v1.txt");

fn expected() -> Entry {
    Entry {
        webhook_id: "wh_685a8ab0e5d08190aa8b5e3ad3a7b2c4".to_owned(),
        project: "default".to_owned(),
        event_type: "batch.completed".to_owned(),
        timestamp_secs: 1_750_287_078,
        received_ms: 1_750_287_078_123,
        body: br#"{"id":"evt_685a8ab0e5d08190","object":"event","created_at":1750287018,"type":"batch.completed","data":{"id":"batch_abc123"}}"#.to_vec(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        replay_of: Some("wh_685a0000000000000000000000000000".to_owned()),
    }
}

#[tokio::test]
async fn an_entry_of_version_1_stays_readable() {
    let queue = TestQueue::start();
    let mut command = redis::cmd("XADD");
    command.arg(queue.keys.events(FAMILY)).arg("*").arg(VERSION_1.lines().collect::<Vec<_>>());
    command.query_async::<()>(&mut queue.raw().await).await.unwrap();
    let delivery = one(&mut queue.consumer("a", LONG).await).await;
    assert_eq!(delivery.content.as_ref(), Ok(&expected().into()));
    let body = &delivery.content.as_ref().unwrap().body;
    assert_eq!(*body, expected().body);
}

#[tokio::test]
async fn enqueued_entries_have_the_documented_version_1() {
    assert_eq!(ENTRY_VERSION, 1, "a new version needs a golden file of its own");
    let queue = TestQueue::start();
    queue.producer.enqueue(FAMILY, &expected()).await.unwrap();
    let entries: Vec<(String, Vec<String>)> = queue.command("XRANGE events - +").await;
    assert_eq!(entries[0].1, VERSION_1.lines().collect::<Vec<_>>());
}

/// Entries of one batch: an additional field of one entry must not shift the fields of the others.
#[tokio::test]
async fn an_entry_survives_the_stream_byte_for_byte() {
    let queue = TestQueue::start();
    let mut entries = Vec::new();
    for (n, (project, event_type, traceparent, replay_of)) in [
        ("default", "batch.completed", None, Some("wh_0")),
        ("default", "batch.completed", Some("00-1-2-3"), Some("wh_0")),
        ("default", "batch.completed", None, None),
        ("default", "batch.completed", Some("00-1-2-3"), None),
        ("default", "batch.completed", None, None),
        ("default", "batch.completed", None, None),
        ("default", "batch.failed", None, None),
        ("research", "batch.failed", None, None),
    ]
    .into_iter()
    .enumerate()
    {
        entries.push(Entry {
            webhook_id: format!("wh_{n}"),
            project: project.to_owned(),
            event_type: event_type.to_owned(),
            body: [b"", &b"\xff\x00 not text"[..], b"\r\n$5\r\n", b"2", b"{}"][n % 5].to_vec(),
            traceparent: traceparent.map(str::to_owned),
            replay_of: replay_of.map(str::to_owned),
            ..expected()
        });
    }
    for answer in join_all(entries.iter().map(|entry| queue.producer.enqueue(FAMILY, entry))).await {
        answer.unwrap();
    }
    let mut consumer = queue.consumer("a", LONG).await;
    let deliveries = consumer.receive_now(entries.len()).await.unwrap();
    let read: Vec<_> =
        deliveries.into_iter().map(|delivery| delivery.content.unwrap().as_ref().clone()).collect();
    assert_eq!(read, entries);
}
