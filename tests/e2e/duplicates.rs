//! Guarantee 2: every acknowledged event takes effect exactly once, however often it is delivered.

use std::sync::Arc;

use futures_util::future::join_all;
use test_support::signed_webhook::SignedWebhook;

use crate::harness::{Database, Landfall};

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_sent_1000_times_at_once_is_enqueued_once() {
    // Without a worker, enqueued entries stay and can be counted.
    let landfall = Arc::new(Landfall::start_with(0, &[]).await);
    let webhook = Arc::new(SignedWebhook::new("batch.completed", "batch_demo_completed"));
    let posts = (0..1000).map(|_| {
        let (landfall, webhook) = (Arc::clone(&landfall), Arc::clone(&webhook));
        tokio::spawn(async move { landfall.post(&webhook).await.0 })
    });
    let statuses: Vec<u16> = join_all(posts).await.into_iter().map(Result::unwrap).collect();
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(landfall.backlog(), 1);
}

async fn the_same_event_under_another_webhook_id_ends_in_the_same_rows(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let events = [
        ("response.completed", "resp_demo_research"),
        ("batch.completed", "batch_demo_completed"),
        ("fine_tuning.job.succeeded", "ftjob_demo_succeeded"),
        ("eval.run.succeeded", "evalrun_demo_succeeded"),
    ];
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for (event_type, object_id) in events {
        let one = SignedWebhook::new(event_type, object_id);
        let two =
            SignedWebhook::with_body(&format!("{}_of_another_endpoint", one.webhook_id), one.body.clone());
        assert_eq!(landfall.post(&one).await.0, 200);
        first.push(one);
        second.push(two);
    }
    landfall.settled().await;
    let objects = || events.map(|(_, id)| landfall.show(id));
    let before = objects();
    for webhook in &second {
        assert_eq!(landfall.post(webhook).await.0, 200);
    }
    landfall.settled().await;
    assert_eq!(objects(), before);
    for webhook in first.iter().chain(&second) {
        let event = landfall.event(&webhook.webhook_id).await.unwrap();
        assert_eq!((event.state, event.last_error), (webhook::EventState::Stored, None));
    }
}

on_both_databases!(the_same_event_under_another_webhook_id_ends_in_the_same_rows);
