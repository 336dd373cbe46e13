//! Webhooks that are not signed by OpenAI are refused, leave no trace in the queue, and the response reveals nothing.

use serde_json::json;
use test_support::signed_webhook::{SignedWebhook, now_secs};

use crate::harness::Landfall;

#[tokio::test(flavor = "multi_thread")]
async fn forged_changed_and_stale_webhooks_are_refused_alike() {
    let mut landfall = Landfall::start_with(0, &[]).await;
    let genuine = || SignedWebhook::new("response.completed", "resp_demo_research");
    let mut changed_body = genuine();
    changed_body.body.push(b' ');
    let mut other_key = genuine();
    let key = webhook::SigningSecret::from_key(&[9; 32]).unwrap();
    other_key.signature =
        key.sign(&other_key.webhook_id, &other_key.timestamp_secs.to_string(), &other_key.body);
    let stale = SignedWebhook::signed_at("wh_stale", genuine().body, now_secs() - 3600);
    for forgery in [changed_body, other_key, stale] {
        assert_eq!(landfall.post(&forgery).await, (400, json!({"error": "Invalid signature"})));
    }
    assert_eq!(landfall.backlog(), 0);
    landfall.ingest.wait_for_log("wrong_signature");
    landfall.ingest.wait_for_log("stale_timestamp_genuine");
}

/// OpenAI signs every attempt with a new timestamp: ten minutes off is a wrong clock or a replay attack.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_ten_minutes_off_is_named_in_the_log_and_in_the_metrics() {
    let landfall = Landfall::start_with(0, &[]).await;
    let body = || SignedWebhook::new("response.completed", "resp_demo_research").body;
    for skew_secs in [-600, 600] {
        let stale = SignedWebhook::signed_at("wh_stale", body(), now_secs() + skew_secs);
        assert_eq!(landfall.post(&stale).await.0, 400);
    }
    let mut forged = SignedWebhook::signed_at("wh_forged", body(), now_secs() - 600);
    forged.body.push(b' ');
    assert_eq!(landfall.post(&forged).await.0, 400);
    // The log is in order: once the last of the three is logged, the others are as well.
    let log = landfall.ingest.log_when(|log| log.iter().any(|line| line.contains("wh_forged"))).await;
    let hints = log.iter().filter(|line| line.contains("check the clock of this machine"));
    assert_eq!(hints.count(), 2, "{log:?}");
    let metrics = landfall.metrics(&landfall.ingest).await;
    for expected in [r#"{reason="stale_timestamp_genuine"} 2"#, r#"{reason="stale_timestamp"} 1"#] {
        assert!(metrics.contains(expected), "{metrics}");
    }
    // A minute is within the tolerance.
    let late = SignedWebhook::signed_at("wh_late", body(), now_secs() - 60);
    assert_eq!(landfall.post(&late).await.0, 200);
}
