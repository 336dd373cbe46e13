//! Interrupted downloads: the same rows and bytes in the end, with or without range requests.

use fake_openai::{Fault, FaultKind};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use webhook::EventState;

use crate::harness::{Database, Landfall};

const LINES: usize = 3000;
const LINE_BYTES: u64 = 1000;
const TENTH_BYTES: u64 = LINES as u64 * LINE_BYTES / 10;
const BATCH: &str = "batch_cut";
const FILE: &str = "file-batch_cut-output";

async fn with_batch(database: Database) -> Landfall {
    let landfall = Landfall::start_on(database).await;
    landfall.fake.add_generated_batch_of(BATCH, LINES as u64, usize::try_from(LINE_BYTES).unwrap());
    landfall
}

/// Checks that the event is stored after this many attempts and downloads, with each line once and the whole file.
async fn imported(landfall: &Landfall, (attempts, downloads): (u32, usize)) {
    let id = landfall.send("batch.completed", BATCH).await;
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.attempts), (EventState::Stored, attempts), "{:?}", event.last_error);
    let requested = landfall.fake.requests().into_iter().filter(|r| r.path.ends_with("/content")).count();
    assert_eq!(requested, downloads);
    let batch = landfall.show(BATCH);
    assert_eq!((&batch["rows_stored"], &batch["results_complete"]), (&LINES.into(), &true.into()));
    let mut ids = landfall.custom_ids(BATCH).await;
    ids.dedup();
    assert_eq!(ids.len(), LINES);
    let sent = landfall.fake.file_bytes(FILE).unwrap();
    assert!(std::fs::read(landfall.file(BATCH, FILE)).unwrap() == sent);
    let sha256: String = Sha256::digest(&sent).iter().map(|byte| format!("{byte:02x}")).collect();
    let file = landfall.show(FILE);
    assert_eq!((&file["sha256"], &file["bytes"]), (&sha256.into(), &sent.len().into()));
}

async fn a_download_cut_at_every_tenth_goes_on_within_one_attempt(database: Database) {
    let landfall = with_batch(database).await;
    // Each response is cut after a tenth of the file, so the cuts are at every tenth.
    landfall.fake.inject(Fault::times(FaultKind::CutBodyAfter { bytes: TENTH_BYTES }, "/content", 9));
    imported(&landfall, (1, 10)).await;
    let log = landfall.workers[0].log().join("\n");
    assert_eq!(log.matches("interrupted and has been resumed").count(), 9, "{log}");
}

async fn a_download_cut_at_every_tenth_that_cannot_go_on_begins_anew_and_its_rows_do_not(database: Database) {
    for weak_etags in [false, true] {
        let landfall = with_batch(database.clone()).await;
        landfall.fake.set_ranges(weak_etags);
        landfall.fake.set_weak_etags(weak_etags);
        for tenths in 1..10 {
            let cut = FaultKind::CutBodyAfter { bytes: tenths * TENTH_BYTES };
            landfall.fake.inject(Fault::times(cut, "/content", 1));
        }
        imported(&landfall, (10, 10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changed_while_it_was_read_is_read_anew() {
    let landfall = Landfall::start().await;
    let content = |digit: char| format!("{{\"custom_id\":\"{digit}\"}}\n").repeat(500);
    landfall.fake.add_file("file-changing", &json!({}), content('1'));
    landfall
        .fake
        .add_batch(json!({"id": "batch_changing", "status": "completed", "output_file_id": "file-changing"}));
    landfall.fake.inject(Fault::times(FaultKind::CutBody, "/content", 1));
    landfall.fake.inject(Fault::times(FaultKind::Status(503), "/content", 2));
    let id = landfall.send("batch.completed", "batch_changing").await;
    // In the meantime the worker waits: half a second, then a second.
    let failed_request = |r: &fake_openai::RecordedRequest| r.fault == Some("status");
    let requested = async || landfall.fake.requests().iter().any(failed_request).then_some(());
    test_support::wait::until("the requests for the rest to fail", requested).await;
    landfall.fake.add_file("file-changing", &json!({}), content('2'));
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.attempts), (EventState::Stored, 2), "{:?}", event.last_error);
    let stored_bytes = std::fs::read(landfall.file("batch_changing", "file-changing")).unwrap();
    assert!(stored_bytes == content('2').as_bytes(), "not the current file");
    assert_eq!(landfall.custom_ids("batch_changing").await, vec!["2"; 500]);
}

on_both_databases!(
    a_download_cut_at_every_tenth_goes_on_within_one_attempt,
    a_download_cut_at_every_tenth_that_cannot_go_on_begins_anew_and_its_rows_do_not,
);
