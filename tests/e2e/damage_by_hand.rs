//! Manual Redis commands that would leave events stuck are detected, repaired within a minute, and counted.

use test_support::wait;
use webhook::EventState;

use crate::harness::Landfall;
use crate::raw_redis::redis;

const ASKED: &str = "/responses/resp_demo_research";
/// The heartbeat reports it. A handler that finishes before that acks its entry, which is correct.
const LEASE_LOST: &str = "\"outcome\":\"lease_lost\"";

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_were_acked_or_lost_their_consumer_by_hand_are_stored_all_the_same() {
    let mut landfall = Landfall::start().await;
    landfall.fake.delay_ms(ASKED, 600_000);
    let first = landfall.send("response.completed", "resp_demo_research").await;
    let requested = async || (landfall.fake.requests().len() == 1).then_some(());
    wait::until("the worker to send a request", requested).await;
    let entries: Vec<(String, Vec<String>)> = redis(&landfall, "XRANGE {landfall}:events:response - +").await;
    let acked: u64 =
        redis(&landfall, &format!("XACK {{landfall}}:events:response workers {}", entries[0].0)).await;
    assert_eq!(acked, 1);
    landfall.workers[0].wait_for_log(LEASE_LOST);
    landfall.fake.clear_faults();
    let event = landfall.event_when(&first, |event| event.state == EventState::Stored).await;
    assert_eq!(event.attempts, 1);

    landfall.fake.delay_ms(ASKED, 600_000);
    let second = landfall.send("response.completed", "resp_demo_research").await;
    let pending = async || (landfall.status()["total"]["pending"] == 1).then_some(());
    wait::until("the worker to hold the entry", pending).await;
    let names: Vec<Vec<redis::Value>> =
        redis(&landfall, "XINFO CONSUMERS {landfall}:events:response workers").await;
    let name: String = redis::from_redis_value(names[0][1].clone()).unwrap();
    let dropped: u64 =
        redis(&landfall, &format!("XGROUP DELCONSUMER {{landfall}}:events:response workers {name}")).await;
    assert_eq!(dropped, 1);
    let noticed = async || {
        let log = landfall.workers[0].log();
        (log.iter().filter(|line| line.contains(LEASE_LOST)).count() == 2).then_some(())
    };
    wait::until("the worker to detect the lost lease", noticed).await;
    landfall.fake.clear_faults();
    let event = landfall.event_when(&second, |event| event.state == EventState::Stored).await;
    assert_eq!(event.attempts, 1);
    landfall.settled().await;
    landfall.metric("landfall_queue_repairs_total{kind=\"stranded_entry\"} 2").await;
    assert_eq!(landfall.status()["total"]["dead"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_is_said_with_what_was_in_it_and_work_goes_on() {
    let mut landfall = Landfall::start().await;
    landfall.fake.delay_ms(ASKED, 600_000);
    landfall.send("response.completed", "resp_demo_research").await;
    landfall.metric("landfall_queue_backlog{family=\"response\",state=\"pending\"} 1.0").await;
    redis::<()>(&landfall, "FLUSHALL").await;
    landfall.fake.clear_faults();
    let id = landfall.send("batch.completed", "batch_demo_completed").await;
    landfall.event_when(&id, |event| event.state == EventState::Stored).await;
    let line = landfall.workers[0].wait_for_log("has vanished");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["level"], &line["backlog"]), (&"ERROR".into(), &1.into()));
    assert_eq!(line["families"], "response: 1 queued, 0 dead");
    assert!(line["last_seen_at"].as_str().unwrap() < line["noticed_at"].as_str().unwrap());
    landfall.metric("landfall_queue_repairs_total{kind=\"queue_vanished\"} 1").await;
    landfall.settled().await;
}
