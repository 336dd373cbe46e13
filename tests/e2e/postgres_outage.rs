//! PostgreSQL stops and restarts: workers wait for it and continue where they were.

use test_support::postgres::PostgresServer;
use test_support::wait;

use crate::harness::{Database, Landfall};
use crate::imported::assert_whole;

const LINES: usize = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_restarted_in_the_middle_of_a_batch_leaves_the_same_rows_in_the_end() {
    let mut server = PostgresServer::start();
    let landfall = Landfall::start_on(Database::At(server.database())).await;
    landfall.fake.add_generated_batch("batch_long", LINES);
    landfall.send("batch.completed", "batch_long").await;
    let store = landfall.store().await;
    let rows = async || match store.fetch_progress("default", webhook::Family::Batch, "batch_long").await {
        Ok(Some(progress)) => progress.rows.map(|(rows, _)| rows).filter(|rows| *rows > 0),
        Ok(None) | Err(_) => None,
    };
    let stored = wait::until("the first rows", &rows).await;
    server.kill();
    assert!(stored < i64::try_from(LINES).unwrap(), "PostgreSQL was killed too late to test anything");
    // Events that arrive in the meantime wait as well.
    landfall.send("response.completed", "resp_demo_research").await;
    server.resume();

    landfall.settled().await;
    assert_whole(&landfall, "batch_long", LINES).await;
    assert_eq!(landfall.show("resp_demo_research")["fetch_state"], "fetched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_starts_before_postgresql_waits_for_it() {
    let mut server = PostgresServer::start();
    let url = server.database();
    let mut landfall = Landfall::start_on_with(Database::At(url), 0, &[]).await;
    landfall.send("response.completed", "resp_demo_research").await;
    server.stop();
    let worker = landfall.begin_worker();
    landfall.workers[worker].wait_for_log("waiting for the database");
    server.resume();
    landfall.workers[worker].wait_for_log("worker started");
    landfall.settled().await;
    assert_eq!(landfall.show("resp_demo_research")["fetch_state"], "fetched");
}
