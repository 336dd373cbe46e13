//! Network faults between the worker and OpenAI or Redis cost time, but no results.

use test_support::network::Network;
use test_support::wait;
use webhook::EventState;

use crate::harness::Landfall;

const LINES: usize = 5000;

/// An installation whose workers reach OpenAI through the network.
async fn behind(network: &Network) -> Landfall {
    let url = format!("http://127.0.0.1:{}/v1", network.port());
    let mut landfall = Landfall::start_with(0, &[("OPENAI_BASE_URL", &url)]).await;
    network.set_target(landfall.fake.addr().port());
    landfall.add_worker();
    landfall
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_is_cut_again_and_again_ends_with_every_line_once() {
    let network = Network::start(0).await;
    let landfall = behind(&network).await;
    landfall.fake.add_generated_batch("batch_cut", LINES);
    network.cut_answers(50_000, 6);
    landfall.send("batch.completed", "batch_cut").await;
    landfall.settled().await;
    assert_eq!(network.cuts_left(), 0);
    let batch = landfall.show("batch_cut");
    assert_eq!((&batch["rows_stored"], &batch["results_complete"]), (&LINES.into(), &true.into()));
    let mut ids = landfall.custom_ids("batch_cut").await;
    ids.dedup();
    assert_eq!(ids.len(), LINES);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_no_openai_goes_on_while_openai_is_a_black_hole() {
    let network = Network::start(0).await;
    let landfall = behind(&network).await;
    network.black_hole(true);
    let waiting = landfall.send("response.completed", "resp_demo_research").await;
    let webhook_id = landfall.send("realtime.call.incoming", "rtc_1").await;
    landfall.event_when(&webhook_id, |event| event.state == EventState::Stored).await;
    assert_ne!(landfall.event(&waiting).await.map(|event| event.state), Some(EventState::Stored));
    network.black_hole(false);
    landfall.event_when(&waiting, |event| event.state == EventState::Stored).await;
    landfall.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_cut_off_from_redis_for_longer_than_its_lease_stores_each_line_once() {
    let network = Network::start(0).await;
    let url = format!("redis://127.0.0.1:{}", network.port());
    let mut landfall = Landfall::start_with(0, &[("REDIS_URL", &url)]).await;
    network.set_target(landfall.redis.port());
    landfall.add_worker();
    landfall.fake.add_generated_batch("batch_alone", LINES);
    landfall.fake.delay_ms("/content", 3000);
    let sent = landfall.send("batch.completed", "batch_alone").await;
    landfall.event_when(&sent, |event| event.state == EventState::Received).await;

    network.black_hole(true);
    landfall.workers[0].wait_for_log("could not renew leases");
    network.black_hole(false);
    let complete = async || {
        let batch = landfall.landfall(&["show", "batch_alone", "--json"]);
        let batch: serde_json::Value = serde_json::from_slice(&batch.stdout).ok()?;
        (batch["results_complete"] == true).then_some(batch)
    };
    let batch = wait::until("the batch to be complete", complete).await;
    assert_eq!(batch["rows_stored"], LINES);
    landfall.settled().await;
    assert_eq!(landfall.event(&sent).await.unwrap().state, EventState::Stored);
}
