//! Guarantee 1: a 2xx means that Redis has the event; without Redis there is no 2xx, and everything recovers afterwards.

use test_support::signed_webhook::SignedWebhook;
use test_support::wait;

use crate::harness::Landfall;

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_ingest_answers_503_and_both_programs_come_back_by_themselves() {
    let mut landfall = Landfall::start().await;
    let before = landfall.send("response.completed", "resp_demo_research").await;
    landfall.settled().await;

    landfall.redis.kill();
    let webhook = SignedWebhook::new("response.completed", "resp_demo_failed");
    let answer = landfall.try_post(&webhook).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers()["retry-after"].to_str().unwrap().parse::<u32>().unwrap() > 0);
    assert_eq!(answer.text().await.unwrap(), r#"{"error":"Queue unavailable"}"#);

    landfall.redis.resume();
    // Retry, as OpenAI does.
    let accepted = async || (landfall.post(&webhook).await.0 == 200).then_some(());
    wait::until("ingest to recover", accepted).await;
    landfall.settled().await;
    for id in [before, webhook.webhook_id.clone()] {
        assert_eq!(landfall.event(&id).await.unwrap().state, webhook::EventState::Stored);
    }
    landfall.ingest.wait_for_log("\"outcome\":\"unavailable\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_crash_of_redis() {
    let mut landfall = Landfall::start_with(0, &[]).await;
    let mut sent = Vec::new();
    for _ in 0..50 {
        sent.push(landfall.send("realtime.call.incoming", "rtc_1").await);
    }
    landfall.redis.kill();
    landfall.redis.resume();
    landfall.add_worker();
    landfall.settled().await;
    for id in &sent {
        assert_eq!(landfall.event(id).await.unwrap().state, webhook::EventState::Stored);
    }
}
