//! OpenAI adds event types faster than receivers are updated: every verified event is stored, whether known or not.

use test_support::signed_webhook::SignedWebhook;
use webhook::{EventState, Family};

use crate::harness::{Database, Landfall};

async fn unknown_types_and_bodies_that_are_no_json_are_kept_byte_for_byte(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let bodies: [&[u8]; 5] = [
        br#"{"id":"evt_1","type":"quantum.job.collapsed","data":{"id":"q_1"}}"#,
        b"not json at all",
        b"\xff\xfe\x00 not even text",
        b"[1,2]",
        br#"{"type":"batch.completed","data":{"note":"an event that names no object"}}"#,
    ];
    for (number, body) in bodies.iter().enumerate() {
        let webhook = SignedWebhook::with_body(&format!("wh_odd_{number}"), body.to_vec());
        assert_eq!(landfall.post(&webhook).await.0, 200);
    }
    landfall.settled().await;
    for (number, body) in bodies.iter().enumerate() {
        let event = landfall.event(&format!("wh_odd_{number}")).await.unwrap();
        assert_eq!((event.state, event.body.as_slice()), (EventState::Stored, *body));
        let family = if number == 4 { Family::Batch } else { Family::Other };
        assert_eq!(event.family, family);
    }
}

async fn events_with_nothing_to_fetch_are_stored_without_a_request(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let types =
        ["agent.environment.ready", "safety.warning_issued", "realtime.call.incoming", "video.completed"];
    let mut ids = Vec::new();
    for event_type in types {
        ids.push(landfall.send(event_type, "some_id").await);
    }
    landfall.settled().await;
    for id in ids {
        assert_eq!(landfall.event(&id).await.unwrap().state, EventState::Stored);
    }
    assert_eq!(landfall.fake.requests().len(), 0);
}

on_both_databases!(
    unknown_types_and_bodies_that_are_no_json_are_kept_byte_for_byte,
    events_with_nothing_to_fetch_are_stored_without_a_request
);
