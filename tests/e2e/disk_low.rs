//! Downloads stop before the disk is full: a full disk would stop Redis and the database as well.

use webhook::{EventState, Reason};

use crate::harness::Landfall;
use crate::raw_redis::redis;

#[tokio::test(flavor = "multi_thread")]
async fn a_nearly_full_disk_makes_downloads_wait_and_nothing_else() {
    let mut landfall = Landfall::start_with(1, &[("MIN_FREE_BYTES", "1000000TiB")]).await;
    let batch = landfall.send("batch.completed", "batch_demo_completed").await;
    let response = landfall.send("response.completed", "resp_demo_research").await;
    landfall.event_when(&response, |event| event.state == EventState::Stored).await;
    let waiting = landfall.event_when(&batch, |event| event.state == EventState::Retrying).await;
    assert_eq!(waiting.reason, Some(Reason::DiskLow));
    let line = landfall.workers[0].wait_for_log("\"reason\":\"disk_low\"");
    assert!(line.contains("\"level\":\"WARN\"") && line.contains("\"outcome\":\"snoozed\""), "{line}");
    let downloads = landfall.fake.requests().into_iter().filter(|r| r.path.ends_with("/content")).count();
    assert_eq!(downloads, 0);
    let noted: Vec<String> = redis(&landfall, "HKEYS {landfall}:attempts:batch").await;
    assert!(noted.is_empty(), "waiting counts as an attempt: {noted:?}");

    // The disk has free space again.
    assert!(landfall.workers[0].stop().success());
    landfall.workers.clear();
    landfall.set("MIN_FREE_BYTES", "1KiB");
    landfall.add_worker();
    let delayed: Vec<String> = redis(&landfall, "ZRANGE {landfall}:delayed:batch 0 -1").await;
    redis::<()>(&landfall, &format!("ZADD {{landfall}}:delayed:batch XX 1 {}", delayed[0])).await;
    let stored = landfall.event_when(&batch, |event| event.state == EventState::Stored).await;
    assert_eq!(stored.attempts, 1);
}
