//! Entries about an object are found wherever they wait, and no others.

use queue::Entry;
use webhook::{Family, Reason};

use crate::harness::{FAMILY, LONG, TestQueue, entry, one, webhook_id};

async fn add(queue: &TestQueue, object_id: &str, padding: usize) {
    let body = format!(
        r#"{{"type":"batch.completed","data":{{"id":"{object_id}"}},"x":"{}"}}"#,
        "x".repeat(padding)
    );
    let entry = Entry { body: body.into_bytes(), ..entry(object_id) };
    queue.producer.enqueue(FAMILY, &entry).await.unwrap();
}

#[tokio::test]
async fn an_object_is_queued_until_its_entry_is_settled() {
    let queue = TestQueue::start();
    let ids =
        ["batch_delayed", "batch_running", "batch_waiting", "batch_done", "batch_dead", "batch_", "batch_no"];
    let ids = ids.map(str::to_owned);
    let queued = async |family| queue.admin.queued_objects(family, &ids).await.unwrap();
    assert!(queued(FAMILY).await.is_empty(), "there is no stream");
    for id in &ids[..5] {
        add(&queue, id, 0).await;
    }
    // Too large for one step; what comes after them is found as well.
    for _ in 0..3 {
        add(&queue, "batch_large", 900_000).await;
    }
    add(&queue, "batch_last", 0).await;
    let mut consumer = queue.consumer("a", LONG).await;
    let mut running = Vec::new();
    for _ in 0..5 {
        let delivery = one(&mut consumer).await;
        match webhook_id(&delivery) {
            "batch_delayed" => drop(delivery.retry_after(LONG, Reason::NotFound, "404").await.unwrap()),
            "batch_done" => drop(delivery.ack().await.unwrap()),
            "batch_dead" => drop(delivery.dead_letter(Reason::Rejected, "no", None).await.unwrap()),
            _ => running.push(delivery),
        }
    }
    assert_eq!(queued(FAMILY).await, ["batch_delayed", "batch_running", "batch_waiting"]);
    let last = ["batch_none", "batch_last"].map(str::to_owned);
    assert_eq!(queue.admin.queued_objects(FAMILY, &last).await.unwrap(), ["batch_last"]);
    assert!(queued(Family::Response).await.is_empty());
    assert!(queue.admin.queued_objects(FAMILY, &[]).await.unwrap().is_empty());
}
