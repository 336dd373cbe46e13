//! What is not signed by OpenAI is refused, leaves no trace in the queue, and learns nothing from the answer.

use serde_json::json;
use test_support::signed_webhook::{SignedWebhook, now_secs};

use crate::harness::Landfall;

#[tokio::test(flavor = "multi_thread")]
async fn forged_changed_and_stale_webhooks_are_refused_alike() {
    let landfall = Landfall::start_with(0, &[]).await;
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
    let log = landfall.ingest.log().join("\n");
    assert!(log.contains("wrong_signature") && log.contains("stale_timestamp_genuine"), "{log}");
}
