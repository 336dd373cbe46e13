//! Safety alerts: one row with the explanation. A missing permission costs neither the event nor the trust in the key.

use fake_openai::{Fault, FaultKind};
use serde_json::json;
use webhook::{EventState, Reason};

use crate::harness::{Database, Landfall};

const ALERTS: &str = "/safety/alerts/";

fn missing_right() -> Fault {
    Fault::always(FaultKind::MissingScopes("api.safety.alerts.read".to_owned()), ALERTS)
}

async fn an_alert_is_stored_with_its_explanation_and_its_response(database: Database) {
    let landfall = Landfall::start_on(database).await;
    landfall.send("response.failed", "resp_demo_failed").await;
    landfall.send("safety.alert.created", "alert_demo").await;
    landfall.settled().await;
    let alert = landfall.show("alert_demo");
    assert_eq!((&alert["kind"], &alert["fetch_state"]), (&json!("safety_alert"), &json!("fetched")));
    assert!(alert["detailed_explanation"].as_str().unwrap().contains("delete files"));
    assert_eq!((&alert["request_paused"], &alert["reason"]), (&json!(true), &json!(null)));
    assert_eq!(landfall.show(alert["response_id"].as_str().unwrap())["status"], "failed");
}

async fn a_missing_permission_costs_no_event_and_is_repaired_once_it_is_granted(database: Database) {
    let landfall = Landfall::start_on(database).await;
    for refusal in [missing_right(), Fault::always(FaultKind::Status(403), ALERTS)] {
        landfall.fake.clear_faults();
        landfall.fake.inject(refusal);
        let id = landfall.send("safety.alert.created", "alert_demo").await;
        landfall.settled().await;
        let event = landfall.event(&id).await.unwrap();
        assert_eq!(
            (event.state, event.reason, event.attempts),
            (EventState::Stored, Some(Reason::Forbidden), 1)
        );
        assert_eq!(landfall.show("alert_demo")["fetch_state"], "forbidden");
    }
    assert!(landfall.workers[0].log().iter().any(|line| line.contains("api.safety.alerts.read")));
    landfall.fake.clear_faults();
    let output = landfall.landfall(&["fetch", "--missing"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(landfall.show("alert_demo")["fetch_state"], "fetched");
}

on_both_databases!(
    an_alert_is_stored_with_its_explanation_and_its_response,
    a_missing_permission_costs_no_event_and_is_repaired_once_it_is_granted
);

#[tokio::test(flavor = "multi_thread")]
async fn alerts_that_may_not_be_read_do_not_make_the_key_suspect() {
    let landfall = Landfall::start().await;
    landfall.fake.inject(missing_right());
    for number in 0..8 {
        landfall.send("safety.alert.created", &format!("alert_{number}")).await;
    }
    landfall.settled().await;
    landfall.metric("landfall_openai_key_suspect{} 0.0").await;
    let suspected = |line: &String| line.contains("every recent fetch");
    assert!(!landfall.workers[0].log().iter().any(suspected));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_is_not_found_is_asked_for_again_and_then_stored_as_missing() {
    let landfall = Landfall::start().await;
    let id = landfall.send("safety.alert.created", "alert_nobody_knows").await;
    let late = landfall.send("safety.alert.created", "alert_late").await;
    landfall.event_when(&late, |event| event.state == EventState::Retrying).await;
    landfall
        .fake
        .add_object(&json!({"id": "alert_late", "object": "safety.alert", "error_type": "of_next_year",
            "request_paused": "perhaps", "model": 7, "response_id": null, "created_at": "soon"}))
        .unwrap();
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.reason), (EventState::Stored, Some(Reason::NotFound)));
    assert_eq!(landfall.show("alert_nobody_knows")["fetch_state"], "not_found");
    let odd = landfall.show("alert_late");
    assert_eq!((&odd["error_type"], &odd["fetch_state"]), (&json!("of_next_year"), &json!("fetched")));
    assert_eq!((&odd["request_paused"], &odd["model"]), (&json!(null), &json!(null)));
    assert_eq!(odd["raw"]["request_paused"], "perhaps");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_safety_events_are_stored_without_a_request() {
    let landfall = Landfall::start().await;
    let types = ["safety.org_alert.created", "safety.warning_issued", "safety.deactivation_issued"];
    for event_type in types {
        let id = landfall.send(event_type, "alert_demo").await;
        assert_eq!(landfall.event_when(&id, |event| event.state == EventState::Stored).await.attempts, 1);
    }
    assert!(landfall.fake.requests().is_empty(), "{:?}", landfall.fake.requests());
    let output = landfall.landfall(&["fetch", "alert_demo", "--no-wait"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}
