//! Guarantee 2 with crashes: a worker that dies in the middle of a batch costs time, not results.

use test_support::wait;
use webhook::Family;

use crate::harness::{Database, Landfall};
use crate::imported::assert_whole;

const LINES: usize = 20_000;
/// As many crashes as are allowed before an entry is suspected to be poison, and one with the entry alone.
const KILLS_PER_BATCH: usize = 2;
const BATCHES: usize = 5;

/// Ten kills, spread over an import: at a tenth and six tenths of the first batch, then a little later in each one.
async fn a_worker_killed_in_the_middle_of_a_batch_leaves_the_same_rows_in_the_end(database: Database) {
    let mut landfall = Landfall::start_on_with(database, 1, &[("LEASE_SECS", "1")]).await;
    let store = landfall.store().await;
    for number in 0..BATCHES {
        let batch_id = format!("batch_long_{number}");
        landfall.fake.add_generated_batch(&batch_id, LINES);
        landfall.send("batch.completed", &batch_id).await;
        for half in 0..KILLS_PER_BATCH {
            let point = LINES * (number + half * BATCHES) / (BATCHES * KILLS_PER_BATCH);
            let far_enough = async || {
                let progress = store.fetch_progress("default", Family::Batch, &batch_id).await.unwrap()?;
                let (rows, _) = progress.rows?;
                (usize::try_from(rows).unwrap() > point).then_some(rows)
            };
            let rows = wait::until("rows", far_enough).await;
            landfall.workers.pop().unwrap().kill();
            assert!(rows < i64::try_from(LINES).unwrap(), "the worker was killed too late to test anything");
            landfall.add_worker();
        }
        landfall.settled().await;
    }
    for number in 0..BATCHES {
        assert_whole(&landfall, &format!("batch_long_{number}"), LINES).await;
    }
}

on_both_databases!(a_worker_killed_in_the_middle_of_a_batch_leaves_the_same_rows_in_the_end);
