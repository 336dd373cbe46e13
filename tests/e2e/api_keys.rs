//! An API key of another project, and a revoked API key: both are reported, and a correct key is enough to recover.

use serde_json::json;
use test_support::wait;
use webhook::{EventState, FetchState, Reason};

use crate::harness::{API_KEY, FOREIGN_API_KEY, Landfall};

const SUSPECT: &str = "landfall_openai_key_suspect{} 1.0";
const TRUSTED: &str = "landfall_openai_key_suspect{} 0.0";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_project_finds_nothing_and_the_worker_shouts() {
    let landfall = Landfall::start_with(1, &[("OPENAI_API_KEY", FOREIGN_API_KEY)]).await;
    let mut sent = Vec::new();
    for object_id in ["resp_demo_research", "resp_demo_failed", "resp_demo_cancelled", "resp_demo_incomplete"]
    {
        sent.push(landfall.send("response.completed", object_id).await);
    }
    landfall.settled().await;
    let warnings =
        || landfall.workers[0].log().iter().filter(|line| line.contains("every recent fetch")).count();
    assert_eq!(warnings(), 0, "four objects may be samples, however often they are fetched");
    sent.push(landfall.send("batch.completed", "batch_demo_completed").await);
    landfall.settled().await;
    landfall.metric(SUSPECT).await;
    // At most once per minute, not once per request.
    assert_eq!(warnings(), 1);
    for id in sent {
        let event = landfall.event(&id).await.unwrap();
        assert_eq!((event.state, event.reason), (EventState::Stored, Some(Reason::NotFound)));
    }
    // Nothing is lost: the object is listed as missing.
    let missing = landfall.show("resp_demo_research");
    assert_eq!(missing["fetch_state"], FetchState::NotFound.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_revoked_in_the_middle_makes_events_wait_until_it_is_accepted_again() {
    let landfall = Landfall::start().await;
    let before = landfall.send("response.completed", "resp_demo_research").await;
    landfall.settled().await;
    landfall.fake.set_api_key(Some("sk-the-next-key"));
    let mut waiting = Vec::new();
    for (event_type, object_id) in [
        ("response.failed", "resp_demo_failed"),
        ("response.cancelled", "resp_demo_cancelled"),
        ("response.incomplete", "resp_demo_incomplete"),
        ("batch.completed", "batch_demo_completed"),
        ("fine_tuning.job.succeeded", "ftjob_demo_succeeded"),
    ] {
        waiting.push(landfall.send(event_type, object_id).await);
    }
    for id in &waiting {
        let event = landfall.event_when(id, |event| event.state == EventState::Retrying).await;
        assert_eq!(event.reason, Some(Reason::Unauthorized));
    }
    landfall.metric(SUSPECT).await;
    landfall.fake.set_api_key(Some(API_KEY));
    landfall.settled().await;
    landfall.metric(TRUSTED).await;
    for id in waiting.iter().chain([&before]) {
        assert_eq!(landfall.event(id).await.unwrap().state, EventState::Stored);
    }
    let batch = landfall.show("batch_demo_completed");
    assert_eq!((&batch["fetch_state"], &batch["results_complete"]), (&json!("fetched"), &json!(true)));
    assert_eq!(landfall.status()["total"]["dead"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_key_is_mended_one_command_has_all_tried_at_once() {
    let landfall = Landfall::start_with(1, &[("RETRY_MAX_SECS", "1800")]).await;
    landfall.fake.set_api_key(Some("sk-the-next-key"));
    let mut waiting = Vec::new();
    for (event_type, object_id) in [
        ("response.completed", "resp_demo_research"),
        ("batch.completed", "batch_demo_completed"),
        ("fine_tuning.job.succeeded", "ftjob_demo_succeeded"),
    ] {
        waiting.push(landfall.send(event_type, object_id).await);
    }
    wait::until("all events to wait for half an hour", async || {
        (landfall.status()["total"]["delayed"] == 3).then_some(())
    })
    .await;
    assert!(landfall.workers[0].log().iter().any(|line| line.contains("then run landfall retry")));
    landfall.fake.set_api_key(Some(API_KEY));

    let output = landfall.landfall(&["retry", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 3, "{output:?}");
    landfall.settled().await;
    for id in &waiting {
        let event = landfall.event(id).await.unwrap();
        assert_eq!((event.state, event.attempts), (EventState::Stored, 2));
    }
}
