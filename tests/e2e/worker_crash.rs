//! Guarantee 2, the hard way: a worker that dies in the middle of a batch costs time, not results.

use test_support::wait;

use crate::harness::{Database, Landfall};

const LINES: usize = 20_000;

async fn a_worker_killed_in_the_middle_of_a_batch_leaves_the_same_rows_in_the_end(database: Database) {
    let mut landfall = Landfall::start_on(database).await;
    landfall.fake.add_generated_batch("batch_long", LINES);
    landfall.send("batch.completed", "batch_long").await;
    let stored = async |landfall: &Landfall| {
        let found = landfall.landfall(&["show", "batch_long", "--json"]);
        let batch: serde_json::Value = serde_json::from_slice(&found.stdout).ok()?;
        batch["rows_stored"].as_u64().filter(|rows| *rows > 0)
    };
    let rows = wait::until("the first rows", async || stored(&landfall).await).await;
    landfall.workers[0].kill();
    assert!(rows < LINES as u64, "it was killed too late to show anything");

    landfall.add_worker();
    landfall.settled().await;
    let batch = landfall.show("batch_long");
    assert_eq!((&batch["rows_stored"], &batch["results_complete"]), (&LINES.into(), &true.into()));
    let file_id = batch["output_file_id"].as_str().unwrap();
    let kept = std::fs::read(landfall.file("batch_long", file_id)).unwrap();
    assert_eq!(kept.iter().filter(|byte| **byte == b'\n').count(), LINES);
    let mut ids: Vec<_> =
        kept.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(custom_id).collect();
    ids.sort_unstable();
    assert_eq!(landfall.custom_ids("batch_long").await, ids);
}

fn custom_id(line: &[u8]) -> String {
    let line: serde_json::Value = serde_json::from_slice(line).unwrap();
    line["custom_id"].as_str().unwrap().to_owned()
}

on_both_databases!(a_worker_killed_in_the_middle_of_a_batch_leaves_the_same_rows_in_the_end);
