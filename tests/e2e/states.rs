//! Conflicting states of an object: a terminal state wins over others, and of two responses the later request wins.

use fake_openai::{Fault, FaultKind};
use serde_json::{Value, json};
use test_support::wait;
use webhook::{EventState, Reason};

use crate::harness::Landfall;

fn response(status: &str, text: &str) -> Value {
    json!({"id": "resp_state", "status": status, "output": [{"type": "message", "content": text}]})
}

/// Sends the event before the object has ended, checks that it waits, and lets the object end.
async fn waits_for_its_end(event_type: &str, running: &Value, ended: &Value) -> Landfall {
    let landfall = Landfall::start().await;
    landfall.fake.add_object(running).unwrap();
    let id = landfall.send(event_type, running["id"].as_str().unwrap()).await;
    let waiting = landfall.event_when(&id, |event| event.state == EventState::Retrying).await;
    assert_eq!(waiting.reason, Some(Reason::NotTerminal));
    let status = running["status"].as_str().unwrap();
    assert!(waiting.last_error.unwrap().contains(status), "the error does not name the status");
    landfall.fake.add_object(ended).unwrap();
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.reason), (EventState::Stored, None));
    assert!(event.attempts >= 2);
    landfall
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_still_running_after_its_event_is_asked_again_and_stored_when_it_ends() {
    let of_kind = |mut object: Value| {
        object["object"] = "response".into();
        object
    };
    let running = of_kind(response("in_progress", "half"));
    let landfall =
        waits_for_its_end("response.completed", &running, &of_kind(response("completed", "whole"))).await;
    let stored = landfall.show("resp_state");
    assert_eq!((&stored["status"], &stored["output_text"]), (&"completed".into(), &"whole".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_job_has_not_ended() {
    let job = |status| {
        json!({"id": "ftjob-paused", "object": "fine_tuning.job", "status": status, "model": "gpt-6-luna",
               "fine_tuned_model": null, "result_files": [], "trained_tokens": null, "error": {"code": null}})
    };
    let landfall = waits_for_its_end("fine_tuning.job.succeeded", &job("paused"), &job("succeeded")).await;
    let stored = landfall.show("ftjob-paused");
    assert_eq!((&stored["status"], &stored["error"]), (&"succeeded".into(), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_still_finalizing_is_asked_again() {
    let batch = |status| json!({"id": "batch_late", "object": "batch", "status": status});
    let landfall = waits_for_its_end("batch.completed", &batch("finalizing"), &batch("completed")).await;
    assert_eq!(landfall.show("batch_late")["results_complete"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_answer_that_comes_late_does_not_win() {
    let landfall = Landfall::start().await;
    landfall.fake.add_response(response("completed", "older"));
    landfall.fake.inject(Fault::times(FaultKind::StallInBody, "/responses/", 1));
    let older = landfall.send("response.completed", "resp_state").await;
    let requested = async || (!landfall.fake.requests().is_empty()).then_some(());
    wait::until("the worker to send a request", requested).await;
    landfall.fake.add_response(response("completed", "newer"));
    let newer = landfall.send("response.completed", "resp_state").await;
    landfall.event_when(&newer, |event| event.state == EventState::Stored).await;
    assert_eq!(landfall.show("resp_state")["output_text"], "newer");
    // Now the rest of the first response arrives.
    landfall.fake.clear_faults();
    landfall.settled().await;
    let older = landfall.event(&older).await.unwrap();
    assert_eq!((older.state, older.attempts), (EventState::Stored, 1));
    assert_eq!(landfall.show("resp_state")["output_text"], "newer");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_event_embeds_never_replaces_what_was_fetched() {
    let landfall = Landfall::start().await;
    landfall.fake.add_response(response("completed", "fetched"));
    landfall.send("response.completed", "resp_state").await;
    landfall.settled().await;
    landfall.fake.remove("resp_state");
    let body = br#"{"type":"response.completed","data":{"id":"resp_state","status":"completed","output_text":"embedded"}}"#;
    let webhook = test_support::signed_webhook::SignedWebhook::with_body("wh_embedded", body.to_vec());
    assert_eq!(landfall.post(&webhook).await.0, 200);
    landfall.settled().await;
    assert_eq!(landfall.event("wh_embedded").await.unwrap().reason, Some(Reason::NotFound));
    let stored = landfall.show("resp_state");
    assert_eq!((&stored["output_text"], &stored["fetch_state"]), (&"fetched".into(), &"fetched".into()));
}
