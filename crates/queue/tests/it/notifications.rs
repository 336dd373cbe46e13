//! Notifications as streams: one per target, with a maximum length, in a readable format.

use queue::{NotificationStream, StreamedNotification};
use redis::streams::StreamRangeReply;

use crate::harness::TestQueue;

#[tokio::test]
async fn a_targets_stream_keeps_about_the_newest() {
    let queue = TestQueue::start();
    let stream = NotificationStream::new(&queue.config).unwrap();
    for n in 0..500 {
        let (id, body) = (format!("ntf_{n}"), format!(r#"{{"n":{n}}}"#));
        let streamed =
            StreamedNotification { target: "app", id: &id, kind: "response.stored", body: body.as_bytes() };
        stream.add(streamed, 100).await.unwrap();
    }
    let mut raw = queue.raw().await;
    let mut read = redis::cmd("XREVRANGE");
    read.arg("{landfall}:notifications:app").arg("+").arg("-");
    let entries: StreamRangeReply = read.query_async(&mut raw).await.unwrap();
    // Redis trims whole nodes, which have 100 entries by default.
    assert!((100..=300).contains(&entries.ids.len()), "{}", entries.ids.len());
    let newest = &entries.ids[0];
    assert_eq!(newest.get::<String>("id").unwrap(), "ntf_499");
    assert_eq!(newest.get::<String>("type").unwrap(), "response.stored");
    assert_eq!(newest.get::<String>("body").unwrap(), r#"{"n":499}"#);
}
