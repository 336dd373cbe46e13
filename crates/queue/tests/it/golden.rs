//! Version 1 of the entry format, as `redis-cli --raw XRANGE` prints it. Never edit the file: entries like it lie in
//! people's Redis.

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
async fn an_entry_of_version_1_is_read_for_ever() {
    let queue = TestQueue::start();
    let mut command = redis::cmd("XADD");
    command.arg(queue.keys.events(FAMILY)).arg("*").arg(VERSION_1.lines().collect::<Vec<_>>());
    command.query_async::<()>(&mut queue.raw().await).await.unwrap();
    let delivery = one(&mut queue.consumer("a", LONG).await).await;
    assert_eq!(delivery.content.as_ref(), Ok(&expected()));
    let body = &delivery.content.as_ref().unwrap().body;
    assert_eq!(*body, expected().body);
}

#[test]
fn this_program_writes_version_1_as_it_is_written_down() {
    assert_eq!(ENTRY_VERSION, 1, "a new version needs a golden file of its own");
    let fields = expected().encode();
    let lines: Vec<_> = fields
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), String::from_utf8(value).unwrap()])
        .collect();
    assert_eq!(lines, VERSION_1.lines().collect::<Vec<_>>());
}
