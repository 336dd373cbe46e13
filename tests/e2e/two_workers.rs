//! Two workers share the load, and a race on the same object leaves the same rows.

use std::collections::HashSet;

use test_support::signed_webhook::SignedWebhook;
use test_support::wait;

use crate::harness::{Database, Landfall};

async fn two_workers_share_a_backlog_and_store_each_event_once(database: Database) {
    let mut landfall = Landfall::start_on_with(database, 0, &[("WORKER_CONCURRENCY", "2")]).await;
    let mut sent = HashSet::new();
    for _ in 0..60 {
        sent.insert(landfall.send("response.completed", "resp_demo_research").await);
    }
    landfall.fake.delay_ms("/responses/", 20);
    landfall.add_worker();
    landfall.add_worker();
    landfall.settled().await;
    let shares = async || {
        let stored = |line: &&String| line.contains("\"outcome\":\"stored\"");
        let shares = landfall.workers.iter().map(|worker| worker.log().iter().filter(stored).count());
        let shares: Vec<usize> = shares.collect();
        (shares.iter().sum::<usize>() >= 60).then_some(shares)
    };
    let shares = wait::until("60 events in the logs", shares).await;
    assert_eq!(shares.iter().sum::<usize>(), 60);
    assert!(shares.iter().all(|share| *share > 0), "one worker processed everything: {shares:?}");
    for webhook_id in &sent {
        assert_eq!(landfall.event(webhook_id).await.unwrap().attempts, 1);
    }
}

async fn two_workers_racing_on_one_batch_store_each_line_once(database: Database) {
    let landfall = Landfall::start_on_with(database, 2, &[("WORKER_CONCURRENCY", "1")]).await;
    landfall.fake.add_generated_batch("batch_raced", 6000);
    let one = SignedWebhook::new("batch.completed", "batch_raced");
    let two = SignedWebhook::with_body("wh_of_another_endpoint", one.body.clone());
    let (first, second) = tokio::join!(landfall.post(&one), landfall.post(&two));
    assert_eq!((first.0, second.0), (200, 200));
    landfall.settled().await;
    let batch = landfall.show("batch_raced");
    assert_eq!((&batch["rows_stored"], &batch["results_complete"]), (&6000.into(), &true.into()));
    let mut ids = landfall.custom_ids("batch_raced").await;
    ids.dedup();
    assert_eq!(ids.len(), 6000);
    let store = landfall.store().await;
    assert_eq!(store.count_events().await.unwrap().iter().map(|(_, _, count)| count).sum::<i64>(), 2);
}

/// Small results do not wait for large ones, and a large backlog is shared by several workers.
#[tokio::test(flavor = "multi_thread")]
async fn four_workers_on_postgresql_store_each_result_once() {
    let landfall = Landfall::start_on_with(Database::Postgres, 4, &[]).await;
    let batches: Vec<String> = (0..6).map(|number| format!("batch_{number}")).collect();
    let mut sent = HashSet::new();
    for batch in &batches {
        landfall.fake.add_generated_batch(batch, 3000);
        let one = SignedWebhook::new("batch.completed", batch);
        let two = SignedWebhook::with_body(&format!("wh_again_{batch}"), one.body.clone());
        let (first, second) = tokio::join!(landfall.post(&one), landfall.post(&two));
        assert_eq!((first.0, second.0), (200, 200));
        sent.extend([one.webhook_id, two.webhook_id]);
        for _ in 0..10 {
            sent.insert(landfall.send("response.completed", "resp_demo_research").await);
        }
    }
    landfall.settled().await;
    for batch in &batches {
        let shown = landfall.show(batch);
        assert_eq!(
            (&shown["rows_stored"], &shown["results_complete"]),
            (&3000.into(), &true.into()),
            "{batch}"
        );
        let ids: HashSet<_> = landfall.custom_ids(batch).await.into_iter().collect();
        assert_eq!(ids.len(), 3000, "{batch}");
    }
    for webhook_id in &sent {
        let event = landfall.event(webhook_id).await.unwrap();
        assert_eq!((event.attempts, event.reason), (1, None), "{webhook_id}");
    }
}

on_both_databases!(
    two_workers_share_a_backlog_and_store_each_event_once,
    two_workers_racing_on_one_batch_store_each_line_once
);
