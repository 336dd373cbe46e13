//! OpenAI with faults: rate limits, errors, interrupted downloads. Nothing is lost, and nothing is stored partially.

use fake_openai::{Fault, FaultKind};
use webhook::{EventState, Reason};

use crate::harness::Landfall;

#[tokio::test(flavor = "multi_thread")]
async fn a_429_is_obeyed_and_then_the_response_is_stored() {
    let landfall = Landfall::start().await;
    landfall.fake.inject(Fault::times(
        FaultKind::RateLimited { retry_after_secs: Some(1) },
        "/responses/",
        1,
    ));
    let id = landfall.send("response.completed", "resp_demo_research").await;
    let waiting = landfall.event_when(&id, |event| event.state == EventState::Retrying).await;
    assert_eq!(waiting.reason, Some(Reason::RateLimited));
    landfall.settled().await;
    let times: Vec<_> = landfall.fake.requests().iter().map(|request| request.received_at).collect();
    assert_eq!(times.len(), 2);
    assert!(times[1].duration_since(times[0]).unwrap().as_millis() >= 1000, "Retry-After was ignored");
    assert_eq!(landfall.event(&id).await.unwrap().state, EventState::Stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn server_errors_are_retried_until_they_end() {
    let landfall = Landfall::start().await;
    landfall.fake.inject(Fault::times(FaultKind::Status(500), "/batches/", 2));
    landfall.fake.inject(Fault::times(FaultKind::CutBody, "/content", 1));
    let id = landfall.send("batch.completed", "batch_demo_completed").await;
    landfall.settled().await;
    // The interrupted download was resumed within its attempt.
    assert_eq!(landfall.event(&id).await.unwrap().attempts, 3);
    let batch = landfall.show("batch_demo_completed");
    assert_eq!((&batch["rows_stored"], &batch["results_complete"]), (&batch["requests_total"], &true.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_waits_long_and_shouts() {
    let mut landfall = Landfall::start_with(1, &[("OPENAI_API_KEY", "sk-revoked")]).await;
    let id = landfall.send("response.completed", "resp_demo_research").await;
    let waiting = landfall.event_when(&id, |event| event.state == EventState::Retrying).await;
    assert_eq!(waiting.reason, Some(Reason::Unauthorized));
    assert!(landfall.workers[0].wait_for_log("OpenAI refused the API key").contains("\"level\":\"ERROR\""));
    let log = landfall.workers[0].log().join("\n");
    assert!(!log.contains("sk-revoked"), "the key is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_openai_refuses_for_good_is_final_and_visible() {
    let landfall = Landfall::start().await;
    landfall.fake.inject(Fault::times(FaultKind::PolicyViolation, "/responses/resp_demo_failed", 1));
    landfall.fake.inject(Fault::times(FaultKind::Status(400), "/responses/resp_demo_cancelled", 2));
    let forbidden = landfall.send("response.failed", "resp_demo_failed").await;
    let rejected = landfall.send("response.cancelled", "resp_demo_cancelled").await;
    landfall.settled().await;
    assert_eq!(landfall.show("resp_demo_failed")["fetch_state"], "forbidden");
    assert_eq!(landfall.event(&forbidden).await.unwrap().reason, Some(Reason::PolicyViolation));
    let dead = landfall.event(&rejected).await.unwrap();
    assert_eq!((dead.state, dead.reason), (EventState::Dead, Some(Reason::Rejected)));
    assert_eq!(landfall.status()["total"]["dead"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_family_does_not_delay_another() {
    let landfall = Landfall::start().await;
    landfall.fake.delay_ms("/batches/", 600_000);
    for _ in 0..10 {
        landfall.send("batch.completed", "batch_demo_completed").await;
    }
    let id = landfall.send("response.completed", "resp_demo_research").await;
    let event = landfall.event_when(&id, |event| event.state == EventState::Stored).await;
    assert_eq!(event.attempts, 1);
    assert_eq!(landfall.backlog(), 10);
}
