//! An entry written by a newer version waits for a newer worker and is never given up.

use test_support::wait;

use crate::harness::Landfall;
use crate::raw_redis::redis;

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_format_2_is_handed_back_untouched() {
    let mut landfall = Landfall::start().await;
    let add = "XADD {landfall}:events:response * v 2 id wh_new colour blue";
    let entry_id: String = redis(&landfall, add).await;
    let line = landfall.workers[0].wait_for_log("newer_format");
    assert!(line.contains("\"outcome\":\"snoozed\"") && line.contains(&entry_id), "{line}");
    let delayed = async || (landfall.status()["total"]["delayed"] == 1).then_some(());
    wait::until("the entry to wait", delayed).await;
    assert_eq!(landfall.status()["total"]["dead"], 0);
    let entries: Vec<(String, Vec<String>)> = redis(&landfall, "XRANGE {landfall}:events:response - +").await;
    let fields = ["v", "2", "id", "wh_new", "colour", "blue"].map(str::to_owned).to_vec();
    assert_eq!(entries, [(entry_id, fields)]);
    let noted: Vec<String> = redis(&landfall, "HKEYS {landfall}:attempts:response").await;
    assert!(noted.is_empty(), "the entry has attempts: {noted:?}");
    // The worker still processes the entries it can read.
    let id = landfall.send("response.completed", "resp_demo_research").await;
    landfall.event_when(&id, |event| event.state == webhook::EventState::Stored).await;
}
