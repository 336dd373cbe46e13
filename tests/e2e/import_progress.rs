//! The progress of an import is visible while it runs, and no longer once it has ended.

use fake_openai::{Fault, FaultKind};
use test_support::wait;

use crate::harness::{Database, Landfall};

async fn a_running_import_is_shown_in_the_status_with_its_rows(database: Database) {
    let landfall = Landfall::start_on(database).await;
    landfall.fake.add_generated_batch("batch_seen", 6000);
    landfall.fake.inject(Fault::always(FaultKind::StallInBody, "/content"));
    landfall.send("batch.completed", "batch_seen").await;
    let imports = || landfall.status()["imports"].as_array().unwrap().clone();
    let half = async || imports().into_iter().find(|import| import["rows_stored"].as_i64() > Some(1000));
    let import = wait::until("rows to be visible", half).await;
    assert_eq!((&import["batch_id"], &import["requests_total"]), (&"batch_seen".into(), &6000.into()));
    assert!(import["rows_per_sec"].as_f64() > Some(0.0) && import["left_secs"].is_u64(), "{import}");
    let text = String::from_utf8(landfall.landfall(&["status"]).stdout).unwrap();
    assert!(text.contains("IMPORT") && text.contains("batch_seen") && text.contains("6,000"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");

    landfall.fake.clear_faults();
    landfall.settled().await;
    assert!(imports().is_empty());
}

#[tokio::test]
async fn an_import_whose_worker_died_has_no_time_left() {
    let mut landfall = Landfall::start().await;
    landfall.fake.add_generated_batch("batch_dead", 6000);
    landfall.fake.inject(Fault::always(FaultKind::StallInBody, "/content"));
    landfall.send("batch.completed", "batch_dead").await;
    let import = || landfall.status()["imports"].as_array().unwrap().first().cloned();
    let moves = async || import().filter(|import| import["left_secs"].is_u64());
    wait::until("the import to report its remaining time", moves).await;
    landfall.workers.pop().unwrap().kill();
    let import = || landfall.status()["imports"].as_array().unwrap().first().cloned();
    let stands = async || import().filter(|import| import["left_secs"].is_null());
    assert_eq!(wait::until("the worker to be considered dead", stands).await["batch_id"], "batch_dead");
}

on_both_databases!(a_running_import_is_shown_in_the_status_with_its_rows);
