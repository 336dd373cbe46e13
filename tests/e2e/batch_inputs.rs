//! `FETCH_BATCH_INPUTS`: the input file of a batch is stored like its output, and each result joins its request.

use fake_openai::{Fault, FaultKind};
use serde_json::{Value, json};
use test_support::wait;
use webhook::EventState;

use crate::harness::{Database, Landfall};

const INPUTS: (&str, &str) = ("FETCH_BATCH_INPUTS", "true");

fn add_batch(landfall: &Landfall, input: &[u8]) {
    let output = b"{\"custom_id\":\"b\",\"response\":{\"status_code\":200,\"body\":{\"n\":2}}}\n\
                   {\"custom_id\":\"a\",\"response\":{\"status_code\":200,\"body\":{\"n\":1}}}\n";
    landfall.fake.add_file("file-output", &json!({}), output.to_vec());
    landfall.fake.add_file("file-input", &json!({"purpose": "batch"}), input.to_vec());
    landfall.fake.add_batch(json!({"id": "batch_in", "status": "completed", "input_file_id": "file-input",
        "output_file_id": "file-output", "error_file_id": null,
        "request_counts": {"total": 2, "completed": 2, "failed": 0}}));
}

fn request(custom_id: &str, body: &str) -> String {
    format!(r#"{{"custom_id":"{custom_id}","method":"POST","url":"/v1/responses","body":{body}}}"#)
}

fn requests_of(landfall: &Landfall, path: &str) -> usize {
    landfall.fake.requests().iter().filter(|request| request.path.contains(path)).count()
}

async fn a_batch_is_stored_with_its_requests(database: Database) {
    let landfall = Landfall::start_on_with(database, 1, &[INPUTS]).await;
    let lines = [request("a", r#"{"input":"one"}"#), request("b", r#"{"n":1e400000}"#)];
    // A blank line, garbage, a request of another shape, and no newline at the end.
    let input = format!("{}\n\n{}\r\nno request\n{{\"custom_id\":7,\"body\":[]}}", lines[0], lines[1]);
    add_batch(&landfall, input.as_bytes());
    let id = landfall.send("batch.completed", "batch_in").await;
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.attempts), (EventState::Stored, 1), "{:?}", event.last_error);
    assert_eq!(landfall.stored_file("batch_in", "file-input"), input.as_bytes());
    assert_eq!(landfall.show("file-input")["purpose"], "batch");
    let shown = landfall.show("batch_in");
    assert_eq!((&shown["input_state"], &shown["results_state"]), (&json!("fetched"), &json!("complete")));
    let text = String::from_utf8(landfall.landfall(&["show", "batch_in"]).stdout).unwrap();
    assert!(text.contains("file-input, fetched"), "{text}");
    let inputs = landfall.store().await.batch_inputs("default", "batch_in", (0, 100)).await.unwrap();
    let read: Vec<_> = inputs
        .iter()
        .map(|input| {
            (input.line, input.custom_id.as_deref(), input.url.as_deref(), input.body.as_deref().unwrap())
        })
        .collect();
    let url = Some("/v1/responses");
    assert_eq!(read[0].0, 1);
    assert_eq!((read[0].1, read[0].2), (Some("a"), url));
    assert_eq!(serde_json::from_slice::<Value>(read[0].3).unwrap(), json!({"input": "one"}));
    assert_eq!(read[1], (3, Some("b"), url, &br#"{"n":1e400000}"#[..]));
    assert_eq!(read[2], (4, None, None, &b"no request"[..]));
    assert_eq!((read[3].0, read[3].1, read.len()), (5, None, 4));

    // A second delivery asks for nothing that is stored.
    landfall.send("batch.completed", "batch_in").await;
    landfall.settled().await;
    assert_eq!(requests_of(&landfall, "file-input/content"), 1);
    assert_eq!(landfall.show("batch_in"), shown);
}

async fn an_input_file_that_cannot_be_read_costs_nothing_else(database: Database) {
    let landfall = Landfall::start_on_with(database, 1, &[INPUTS]).await;
    add_batch(&landfall, request("a", "{}").as_bytes());
    let scopes = FaultKind::MissingScopes("api.files.read".to_owned());
    for (fault, state) in [
        (scopes.clone(), "forbidden"),
        (FaultKind::Status(403), "forbidden"),
        (FaultKind::Status(404), "not_found"),
    ] {
        landfall.fake.clear_faults();
        landfall.fake.inject(Fault::always(fault, "file-input"));
        let id = landfall.send("batch.completed", "batch_in").await;
        landfall.settled().await;
        let event = landfall.event(&id).await.unwrap();
        assert_eq!((event.state, event.attempts), (EventState::Stored, 1), "{state}");
        let shown = landfall.show("batch_in");
        assert_eq!((&shown["input_state"], &shown["results_complete"]), (&json!(state), &json!(true)));
        assert_eq!(landfall.rows("batch_in").await.len(), 2);
    }
    landfall.fake.clear_faults();
    landfall.fake.inject(Fault::always(scopes, "file-input"));
    landfall.send("batch.completed", "batch_in").await;
    landfall.settled().await;
    let doctor = String::from_utf8(landfall.landfall(&["doctor", "--json"]).stdout).unwrap();
    assert!(
        doctor.contains("input files of batches") && doctor.contains("landfall fetch batch_in"),
        "{doctor}"
    );
    landfall.metric("landfall_openai_key_suspect{} 0.0").await;

    landfall.fake.clear_faults();
    assert!(landfall.landfall(&["fetch", "batch_in"]).status.success());
    assert_eq!(landfall.show("batch_in")["input_state"], "fetched");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_no_input_file_is_asked_for() {
    let landfall = Landfall::start().await;
    add_batch(&landfall, request("a", "{}").as_bytes());
    landfall.send("batch.completed", "batch_in").await;
    landfall.settled().await;
    assert_eq!(requests_of(&landfall, "file-input"), 0);
    assert_eq!(landfall.show("batch_in")["input_state"], Value::Null);
}

async fn a_worker_killed_while_it_reads_the_input_leaves_the_same_requests_in_the_end(database: Database) {
    let mut landfall = Landfall::start_on_with(database, 1, &[INPUTS, ("LEASE_SECS", "1")]).await;
    let body = format!(r#"{{"input":"{}"}}"#, "x".repeat(500));
    let lines: Vec<String> = (0..5000).map(|n| request(&format!("request-{n}"), &body)).collect();
    let input = lines.join("\n");
    add_batch(&landfall, input.as_bytes());
    landfall.fake.inject(Fault::always(FaultKind::StallInBody, "file-input/content"));
    landfall.send("batch.completed", "batch_in").await;
    let store = landfall.store().await;
    let some = async || {
        let rows = store.batch_inputs("default", "batch_in", (0, 1000)).await.unwrap();
        (rows.len() == 1000).then_some(())
    };
    wait::until("some requests to be stored", some).await;
    landfall.workers.pop().unwrap().kill();
    assert_eq!(landfall.show("batch_in")["input_state"], Value::Null);
    landfall.fake.clear_faults();
    landfall.add_worker();
    landfall.settled().await;
    let rows = store.batch_inputs("default", "batch_in", (0, 10_000)).await.unwrap();
    let numbers: Vec<i64> = rows.iter().map(|row| row.line).collect();
    assert_eq!(numbers, (1..=5000).collect::<Vec<_>>());
    assert_eq!(landfall.show("batch_in")["input_state"], "fetched");
    assert!(landfall.stored_file("batch_in", "file-input") == input.as_bytes());
}

on_both_databases!(
    a_batch_is_stored_with_its_requests,
    an_input_file_that_cannot_be_read_costs_nothing_else,
    a_worker_killed_while_it_reads_the_input_leaves_the_same_requests_in_the_end
);
