//! `FETCH=off`, and deleted objects: the data of the event is stored and marked as not fetched.

use test_support::signed_webhook::SignedWebhook;

use crate::harness::Landfall;

const WHOLE_RESPONSE: &[u8] =
    br#"{"id":"evt_2","object":"event","type":"response.completed","created_at":1750861210,
    "data":{"id":"resp_embedded","object":"response","status":"completed","completed_at":1750861209,
    "output":[{"type":"message","message":{"role":"assistant","content":"Forty-two."}}]}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn with_fetch_off_the_embedded_object_is_stored() {
    let landfall = Landfall::start_with(1, &[("FETCH", "off"), ("OPENAI_API_KEY", "")]).await;
    let webhook = SignedWebhook::with_body("wh_embedded", WHOLE_RESPONSE.to_vec());
    assert_eq!(landfall.post(&webhook).await.0, 200);
    landfall.send("batch.completed", "batch_demo_completed").await;
    landfall.settled().await;
    let response = landfall.show("resp_embedded");
    assert_eq!(response["output_text"], "Forty-two.");
    assert_eq!((&response["status"], &response["fetch_state"]), (&"completed".into(), &"off".into()));
    let batch = landfall.show("batch_demo_completed");
    assert_eq!((&batch["fetch_state"], &batch["status"]), (&"off".into(), &serde_json::Value::Null));
    assert_eq!(landfall.fake.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_404_is_asked_again_then_final_and_visible_and_keeps_what_the_event_held() {
    let landfall = Landfall::start().await;
    let webhook = SignedWebhook::with_body("wh_gone", WHOLE_RESPONSE.to_vec());
    assert_eq!(landfall.post(&webhook).await.0, 200);
    let sample = landfall.send("response.completed", "resp_abc123").await;
    landfall.settled().await;
    let gone = landfall.show("resp_embedded");
    assert_eq!((&gone["output_text"], &gone["fetch_state"]), (&"Forty-two.".into(), &"not_found".into()));
    assert_eq!(landfall.show("resp_abc123")["fetch_state"], "not_found");
    let event = landfall.event(&sample).await.unwrap();
    assert_eq!(event.state, webhook::EventState::Stored);
    assert_eq!(event.reason, Some(webhook::Reason::NotFound));
    assert!(event.attempts >= 3, "asked {} times", event.attempts);
}
