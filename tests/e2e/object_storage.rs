//! Raw files in a bucket: identical bytes, readable with the command, and no unfinished uploads.

use fake_openai::{Fault, FaultKind};
use serde_json::Value;
use test_support::s3::{BUCKET, S3Server};
use webhook::EventState;

use crate::harness::Landfall;

const FILE: &str = "file-batch_bucket-output";

fn settings(server: &S3Server) -> Vec<(&'static str, String)> {
    let mut settings = server.settings().to_vec();
    // MIN_FREE_BYTES does not apply to a bucket.
    settings.push(("MIN_FREE_BYTES", "1000000TiB".to_owned()));
    settings
}

fn borrowed<'a>(settings: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_in_a_bucket_is_complete_after_an_interrupted_download() {
    let server = S3Server::start();
    let settings = settings(&server);
    let settings = borrowed(&settings);
    let landfall = Landfall::start_with(1, &settings).await;
    landfall.fake.add_generated_batch_of("batch_bucket", 10_000, 2000);
    let cut = FaultKind::CutBodyAfter { bytes: 2_000_000 };
    landfall.fake.inject(Fault::times(cut, "/content", 9));
    let id = landfall.send("batch.completed", "batch_bucket").await;
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.attempts), (EventState::Stored, 1), "{:?}", event.last_error);
    assert_eq!(landfall.show("batch_bucket")["rows_stored"], 10_000);
    assert_eq!(server.keys(), [format!("raw/files/default/batch_bucket/{FILE}")]);
    assert!(server.unfinished().is_empty());
    let raw = landfall.landfall_with(&settings, &["show", FILE, "--raw"]);
    assert!(raw.status.success(), "{}", String::from_utf8_lossy(&raw.stderr));
    assert!(raw.stdout == landfall.fake.file_bytes(FILE).unwrap());
    let log = landfall.workers[0].log().join("\n");
    assert!(!log.contains("secret-of-the-bucket"), "the bucket's secret is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_waits_for_a_missing_bucket_and_the_doctor_reports_it() {
    let server = S3Server::start();
    server.delete_bucket(BUCKET);
    let settings = settings(&server);
    let settings = borrowed(&settings);
    let landfall = Landfall::start_with(1, &settings).await;
    let files = || {
        let output = landfall.landfall_with(&settings, &["doctor", "--json"]).stdout;
        let lines = output.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        lines.into_iter().find(|finding: &Value| finding["check"] == "files").unwrap()
    };
    let missing = files();
    assert_eq!(missing["state"], "wrong");
    assert!(missing["cure"].as_str().unwrap().starts_with("create the bucket"), "{missing}");
    let id = landfall.send("batch.completed", "batch_demo_completed").await;
    landfall.event_when(&id, |event| event.state == EventState::Retrying).await;

    server.put_bucket(BUCKET);
    landfall.settled().await;
    assert_eq!(landfall.event(&id).await.unwrap().state, EventState::Stored);
    assert_eq!(files()["state"], "ok");
    assert!(!server.keys().is_empty() && server.unfinished().is_empty());
}
