//! Objects with an unknown status, and responses with a different object.

use fake_openai::{Fault, FaultKind};
use serde_json::{Map, Value, json};
use webhook::{EventState, Reason};

use crate::harness::{Database, Landfall};

fn fields(fields: Value) -> Map<String, Value> {
    fields.as_object().unwrap().clone()
}

async fn a_status_nobody_knows_is_stored_as_it_is_once_it_does_not_change(database: Database) {
    let landfall = Landfall::start_on_with(database, 2, &[]).await;
    landfall.fake.add_response(json!({"id": "resp_new", "status": "expired", "output_text": "Half."}));
    landfall.fake.add_file("file-new", &json!({}), "{\"custom_id\":\"a\"}\n");
    landfall.fake.add_batch(
        json!({"id": "batch_new", "status": "completed_with_errors", "output_file_id": "file-new"}),
    );
    for object in [
        json!({"id": "ftjob-new", "object": "fine_tuning.job", "status": "archived"}),
        json!({"id": "evalrun_new", "object": "eval.run", "eval_id": "eval_demo", "status": "timed_out"}),
        json!({"id": "resp_none", "object": "response"}),
    ] {
        landfall.fake.add_object(&object).unwrap();
    }
    let mut sent = Vec::new();
    for (event, id, status) in [
        ("response.completed", "resp_new", json!("expired")),
        ("response.completed", "resp_none", Value::Null),
        ("batch.completed", "batch_new", json!("completed_with_errors")),
        ("fine_tuning.job.succeeded", "ftjob-new", json!("archived")),
        ("eval.run.succeeded", "evalrun_new", json!("timed_out")),
    ] {
        sent.push((landfall.send(event, id).await, id, status));
    }
    landfall.settled().await;
    for (event_id, id, status) in sent {
        let event = landfall.event(&event_id).await.unwrap();
        assert_eq!((event.state, event.attempts, event.reason), (EventState::Stored, 10, None), "{id}");
        let row = landfall.show(id);
        assert_eq!(
            (&row["status"], &row["fetch_state"], &row["terminal"]),
            (&status, &"fetched".into(), &true.into())
        );
    }
    assert_eq!(landfall.custom_ids("batch_new").await, ["a"]);
    assert_eq!(landfall.show("resp_new")["output_text"], "Half.");
    landfall.a_worker_logs("does not change").await;
}

async fn a_status_that_goes_on_to_an_end_is_waited_for(database: Database) {
    let landfall = Landfall::start_on(database).await;
    landfall.fake.add_response(json!({"id": "resp_slow", "status": "completed"}));
    for status in ["warming_up", "cooling_down"] {
        let fault = FaultKind::Fields(fields(json!({"status": status})));
        landfall.fake.inject(Fault::times(fault, "/responses/resp_slow", 6));
    }
    let id = landfall.send("response.completed", "resp_slow").await;
    let waiting = landfall.event_when(&id, |event| event.attempts > 1).await;
    assert_eq!((waiting.state, waiting.reason), (EventState::Retrying, Some(Reason::NotTerminal)));
    landfall.settled().await;
    assert_eq!(landfall.event(&id).await.unwrap().attempts, 13);
    assert_eq!(landfall.show("resp_slow")["status"], "completed");
}

async fn an_answer_that_is_another_object_is_not_stored_as_the_one_asked_for(database: Database) {
    let other = |id: &str| FaultKind::Fields(fields(json!({"id": id})));
    let mut landfall = Landfall::start_on(database.clone()).await;
    landfall.fake.inject(Fault::times(other("resp_other"), "/responses/resp_demo_research", 2));
    let response = landfall.send("response.completed", "resp_demo_research").await;
    landfall.settled().await;
    let event = landfall.event(&response).await.unwrap();
    assert_eq!((event.state, event.attempts), (EventState::Stored, 3));
    assert_eq!(landfall.show("resp_demo_research")["raw"]["id"], "resp_demo_research");
    let line = landfall.workers[0].wait_for_log("is a different object");
    assert!(line.contains("\"level\":\"WARN\"") && line.contains("\"reason\":\"bad_answer\""), "{line}");

    let landfall = Landfall::start_on_with(database, 1, &[("RETRY_FOR_SECS", "1")]).await;
    landfall.fake.inject(Fault::always(other("batch_other"), "/batches/batch_demo_completed"));
    let batch = landfall.send("batch.completed", "batch_demo_completed").await;
    landfall.settled().await;
    let event = landfall.event(&batch).await.unwrap();
    assert_eq!((event.state, event.reason), (EventState::Dead, Some(Reason::GaveUp)));
    assert!(event.last_error.unwrap().contains("is a different object, \"batch_other\""));
    let results = landfall.landfall(&["results", "batch_demo_completed"]);
    assert!(!results.status.success(), "the object is stored");
}

on_both_databases!(
    a_status_nobody_knows_is_stored_as_it_is_once_it_does_not_change,
    a_status_that_goes_on_to_an_end_is_waited_for,
    an_answer_that_is_another_object_is_not_stored_as_the_one_asked_for
);
