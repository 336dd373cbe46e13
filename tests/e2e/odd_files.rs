//! Files with an unusual object, name, encoding or location: everything readable is read.

use fake_openai::{ContentCoding, Fault, FaultKind};
use serde_json::{Value, json};
use webhook::{EventState, Reason};

use crate::harness::{Database, Landfall};

const FILE: &str =
    "{\"custom_id\":\"a\",\"response\":{\"status_code\":200}}\n{\"custom_id\":\"b\",\"response\":{}}\n";

fn add_batch(landfall: &Landfall, number: usize, file_id: &str, file: &Value) -> String {
    let batch = format!("batch_{number}");
    landfall.fake.add_file(file_id, file, FILE);
    let counts = json!({"total": 2, "completed": 2, "failed": 0});
    landfall.fake.add_batch(
        json!({"id": batch, "status": "completed", "output_file_id": file_id, "request_counts": counts}),
    );
    batch
}

/// Sends the event, and checks that the first attempt stores it and its file byte for byte.
async fn imported(landfall: &Landfall, batch: &str, file_id: &str) {
    let id = landfall.send("batch.completed", batch).await;
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.attempts), (EventState::Stored, 1), "{:?}", event.last_error);
    assert_eq!(landfall.custom_ids(batch).await, ["a", "b"]);
    assert_eq!(landfall.show(batch)["results_state"], "complete");
    let location = landfall.show(file_id)["location"].as_str().unwrap().to_owned();
    let stored_bytes = std::fs::read(landfall.folder().join("files").join(location)).unwrap();
    assert_eq!(stored_bytes, FILE.as_bytes());
}

async fn a_files_object_is_a_check_and_no_condition(database: Database) {
    let mut landfall = Landfall::start_on(database).await;
    let other = json!({"id": "file-other"}).as_object().unwrap().clone();
    let faults = [
        FaultKind::Status(500),
        FaultKind::Status(404),
        FaultKind::Status(403),
        FaultKind::InvalidJson,
        FaultKind::Fields(other),
    ];
    let objects = [0, 7, -5, 1_000_000_000_000_000_000_i64].map(|bytes| json!({"bytes": bytes}));
    let odd = faults.into_iter().map(|kind| (Some(kind), json!({})));
    for (number, (fault, file)) in odd.chain(objects.map(|object| (None, object))).enumerate() {
        let file_id = format!("file-{number}");
        let batch = add_batch(&landfall, number, &file_id, &file);
        if let Some(kind) = fault {
            landfall.fake.inject(Fault::at_end(kind, &format!("/files/{file_id}")));
        }
        imported(&landfall, &batch, &file_id).await;
    }
    landfall.workers[0].wait_for_log("could not read the file's object");
    landfall.workers[0].wait_for_log("longer than its object says");
}

async fn a_file_object_with_a_bad_moment_still_checks_the_length(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let batch = add_batch(&landfall, 1, "file-checked", &json!({}));
    let object = Fault::at_end(FaultKind::Status(500), "/files/file-checked");
    landfall.fake.inject(Fault { times: Some(1), ..object });
    landfall.fake.inject(Fault::times(FaultKind::WrongContentLength { off_by: -10 }, "/content", 1));
    let id = landfall.send("batch.completed", &batch).await;
    let waiting = landfall.event_when(&id, |event| event.state == EventState::Retrying).await;
    assert_eq!(waiting.reason, Some(Reason::IncompleteDownload));
    landfall.settled().await;
    assert_eq!(landfall.custom_ids(&batch).await, ["a", "b"]);
}

async fn answers_that_come_compressed_are_read(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let codings = [ContentCoding::Gzip, ContentCoding::Deflate, ContentCoding::RawDeflate];
    for (number, coding) in codings.into_iter().enumerate() {
        landfall.fake.clear_faults();
        landfall.fake.inject(Fault::always(FaultKind::Encoded(coding), ""));
        let file_id = format!("file-{number}");
        let batch = add_batch(&landfall, number, &file_id, &json!({}));
        imported(&landfall, &batch, &file_id).await;
        let response = format!("resp_{number}");
        landfall.fake.add_response(json!({"id": response, "status": "completed"}));
        let id = landfall.send("response.completed", &response).await;
        landfall.settled().await;
        assert_eq!(landfall.event(&id).await.unwrap().attempts, 1);
        assert_eq!(landfall.show(&response)["fetch_state"], "fetched");
    }
}

async fn long_names_of_files_are_asked_for(database: Database) {
    let landfall = Landfall::start_on(database).await;
    for (number, length) in [(1, 600), (2, 2000), (3, 5000)] {
        let unlike = (0..length).map(|n: usize| char::from(b'a' + (n * n % 26) as u8));
        let file_id = format!("file-{}", unlike.collect::<String>());
        let batch = add_batch(&landfall, number, &file_id, &json!({}));
        imported(&landfall, &batch, &file_id).await;
        assert_eq!(landfall.show(&batch)["output_file_id"], file_id);
    }
}

async fn a_file_of_garbage_is_one_line_of_log(database: Database) {
    let landfall = Landfall::start_on(database).await;
    landfall.fake.add_file("file-garbage", &json!({}), "garbage\n".repeat(20_000));
    landfall
        .fake
        .add_batch(json!({"id": "batch_1", "status": "completed", "output_file_id": "file-garbage"}));
    landfall.send("batch.completed", "batch_1").await;
    landfall.settled().await;
    assert_eq!(landfall.show("batch_1")["rows_quarantined"], 20_000);
    let settled = |log: &[String]| log.iter().any(|line| line.contains("\"outcome\":\"stored\""));
    let log = landfall.workers[0].log_when(settled).await;
    let logged: Vec<&String> = log.iter().filter(|line| line.contains("quarantine")).collect();
    assert_eq!(logged.len(), 1, "{logged:#?}");
    let line: Value = serde_json::from_str(logged[0]).unwrap();
    assert_eq!((&line["lines"], &line["file.id"]), (&20_000.into(), &"file-garbage".into()), "{line}");
    assert!(
        line["examples"].as_str().unwrap().starts_with("line 1: line is not a JSON object; line 2: "),
        "{line}"
    );
    assert!(log.iter().map(String::len).sum::<usize>() < 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_another_host_is_named_and_the_key_is_not_blamed() {
    let mut landfall = Landfall::start().await;
    let batch = add_batch(&landfall, 1, "file-moved", &json!({}));
    let to = "https://storage.elsewhere.example:8443/x?sig=secret".to_owned();
    for (path, event, object) in [
        ("/content", "batch.completed", batch.as_str()),
        ("/responses/", "response.completed", "resp_demo_research"),
    ] {
        landfall.fake.inject(Fault::always(FaultKind::Redirect { to: to.clone() }, path));
        let id = landfall.send(event, object).await;
        let waiting = landfall.event_when(&id, |event| event.state == EventState::Retrying).await;
        let error = waiting.last_error.unwrap();
        assert!(error.contains("storage.elsewhere.example:8443") && !error.contains("sig="), "{error}");
        let line = landfall.workers[0].wait_for_log(&id);
        assert!(line.contains("check OPENAI_BASE_URL") && line.contains("elsewhere.example"), "{line}");
        assert!(!line.contains("its rights"), "{line}");
    }
    landfall.fake.clear_faults();
    landfall.settled().await;
    assert_eq!(landfall.custom_ids(&batch).await, ["a", "b"]);
}

on_both_databases!(
    a_files_object_is_a_check_and_no_condition,
    a_file_object_with_a_bad_moment_still_checks_the_length,
    answers_that_come_compressed_are_read,
    long_names_of_files_are_asked_for,
    a_file_of_garbage_is_one_line_of_log
);
