//! The retry period of an event begins with its first attempt, however long it waited for a worker.

use fake_openai::{Fault, FaultKind};
use serde_json::json;
use store::{AttemptOutcome, AttemptRecord};
use webhook::{EventState, Reason};

use crate::harness::{Database, Landfall};

/// The outcome and reason of each attempt.
async fn attempts(landfall: &Landfall, webhook_id: &str) -> Vec<(AttemptOutcome, Option<Reason>)> {
    let attempts = landfall.store().await.event_attempts("default", webhook_id).await.unwrap();
    let ended = |attempt: AttemptRecord| {
        (attempt.outcome.known().unwrap(), attempt.reason.map(|reason| reason.known().unwrap()))
    };
    attempts.into_iter().map(ended).collect()
}

async fn the_first_failure_is_never_the_last_however_long_the_event_waited(database: Database) {
    // The retry period is over before the first worker starts.
    let mut landfall = Landfall::start_on_with(database, 0, &[("RETRY_FOR_SECS", "0.001")]).await;
    landfall.fake.inject(Fault::times(FaultKind::Status(500), "/responses/", 1));
    landfall.fake.inject(Fault::times(FaultKind::RateLimited { retry_after_secs: None }, "/batches/", 1));
    let response = landfall.send("response.completed", "resp_demo_research").await;
    let batch = landfall.send("batch.completed", "batch_demo_completed").await;
    landfall.add_worker();
    landfall.settled().await;
    for (sent, reason) in [(response, Reason::OpenaiUnavailable), (batch, Reason::RateLimited)] {
        let event = landfall.event(&sent).await.unwrap();
        assert_eq!((event.state, event.attempts), (EventState::Stored, 2), "{:?}", event.last_error);
        let expected = [(AttemptOutcome::Retry, Some(reason)), (AttemptOutcome::Stored, None)];
        assert_eq!(attempts(&landfall, &sent).await, expected);
        let shown = landfall.landfall(&["show", &sent]);
        assert!(String::from_utf8(shown.stdout).unwrap().contains("\nattempts\n    1  "));
    }
}

async fn an_unknown_status_is_looked_at_again_however_long_the_event_waited(database: Database) {
    let mut landfall = Landfall::start_on_with(database, 0, &[("RETRY_FOR_SECS", "0.001")]).await;
    landfall.fake.add_batch(json!({"id": "batch_odd", "status": "completed_with_errors"}));
    let sent = landfall.send("batch.completed", "batch_odd").await;
    landfall.add_worker();
    landfall.settled().await;
    let event = landfall.event(&sent).await.unwrap();
    assert_eq!((event.state, event.attempts), (EventState::Stored, 2), "{:?}", event.last_error);
}

async fn a_replay_is_tried_anew_for_as_long(database: Database) {
    let landfall = Landfall::start_on_with(database, 1, &[("RETRY_FOR_SECS", "0.2")]).await;
    landfall.fake.inject(Fault::always(FaultKind::Status(500), "/responses/"));
    let sent = landfall.send("response.completed", "resp_demo_research").await;
    let dead = landfall.event_when(&sent, |event| event.state == EventState::Dead).await;
    assert_eq!(dead.reason, Some(Reason::GaveUp));
    let before = attempts(&landfall, &sent).await;
    assert!(before.len() >= 2, "{before:?}");
    assert_eq!(*before.last().unwrap(), (AttemptOutcome::Dead, Some(Reason::GaveUp)));

    landfall.fake.clear_faults();
    landfall.fake.inject(Fault::times(FaultKind::Status(500), "/responses/", 1));
    assert!(landfall.landfall(&["replay", &sent]).status.success());
    landfall.event_when(&sent, |event| event.state == EventState::Stored).await;
    let after = attempts(&landfall, &sent).await;
    let expected = [(AttemptOutcome::Retry, Some(Reason::OpenaiUnavailable)), (AttemptOutcome::Stored, None)];
    assert_eq!(after[before.len()..], expected);
}

on_both_databases!(
    the_first_failure_is_never_the_last_however_long_the_event_waited,
    an_unknown_status_is_looked_at_again_however_long_the_event_waited,
    a_replay_is_tried_anew_for_as_long,
);
