//! Calls: the notification is sent before the event is stored, again only while the caller may wait, and under one id.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use store::{EventFilter, NotificationFilter, NotificationRecord, TargetState};
use test_support::receiver::{Receiver, Reply};
use test_support::signed_webhook::{SignedWebhook, now_secs};
use test_support::wait;
use webhook::{NotificationState, Reason};

use crate::harness::{Database, Landfall};
use crate::notifications::{notifications, start, target, targets_file};
use crate::raw_redis::redis;
use crate::write_lock::WriteLock;

const CALL: &str = "realtime.call.incoming";
const STREAM: &str = "[[targets]]\nname = \"consumers\"\nkind = \"redis-stream\"\n";
const STREAM_LENGTH: &str = "XLEN {landfall}:notifications:consumers";

async fn rows(landfall: &Landfall) -> Vec<NotificationRecord> {
    landfall.store().await.list_notifications(&NotificationFilter::default()).await.unwrap()
}

/// Waits until there are `count` notifications, all of them in this state.
async fn rows_when(landfall: &Landfall, count: usize, state: NotificationState) -> Vec<NotificationRecord> {
    wait::until(&format!("{count} notifications that are {state}"), async || {
        let rows = rows(landfall).await;
        (rows.len() == count && rows.iter().all(|row| row.state == state)).then_some(rows)
    })
    .await
}

/// Fails this many requests.
async fn failing(failures: usize, reply: Reply) -> Receiver {
    let left = Arc::new(AtomicUsize::new(failures));
    Receiver::start(move |_| {
        let fails = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if fails { reply.clone() } else { Reply::ok() }
    })
    .await
}

async fn a_call_is_sent_before_it_is_stored_and_once(database: Database) {
    let server = Receiver::start(|_| Reply::ok()).await;
    let (_folder, path) = targets_file(&[target("app", &server, ""), STREAM.to_owned()]);
    let mut landfall = start(database, 1, &path, &[]).await;
    landfall.workers[0].wait_for_log("worker started");
    let store = landfall.store().await;
    let lock = WriteLock::on(landfall.database_url()).await;
    let calls = ["realtime.call.incoming", "live.call.incoming", "live.transport.incoming"];
    let mut webhooks = Vec::new();
    for (number, event_type) in calls.iter().enumerate() {
        webhooks.push(SignedWebhook::new(event_type, &format!("rtc_{number}")));
        landfall.post(&webhooks[number]).await;
    }
    // The same event from another webhook endpoint.
    landfall.post(&SignedWebhook::with_body("wh_another_endpoint", webhooks[0].body.clone())).await;
    let notified = notifications(&server.wait_for(calls.len()).await);
    for body in notified.values() {
        assert_eq!(body["type"], "event.received");
        let age = body["data"]["event"]["age_secs"].as_i64().unwrap();
        assert!((0..60).contains(&age), "{body}");
    }
    wait::until("the stream", async || {
        (redis::<usize>(&landfall, STREAM_LENGTH).await == calls.len()).then_some(())
    })
    .await;
    assert!(store.list_notifications(&NotificationFilter::default()).await.unwrap().is_empty());
    assert!(store.list_events(&EventFilter::default()).await.unwrap().is_empty(), "no event is stored");

    lock.release().await;
    let written = rows_when(&landfall, 2 * calls.len(), NotificationState::Delivered).await;
    landfall.settled().await;
    for (id, body) in &notified {
        let row = written.iter().find(|row| row.notification.id == *id).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&row.notification.body).unwrap(), *body);
        assert_eq!((row.attempts, row.notification.target.as_str()), (1, "app"));
    }
    assert_eq!(server.received().len(), calls.len(), "a call was sent twice");
    assert_eq!(redis::<usize>(&landfall, STREAM_LENGTH).await, calls.len());
    landfall.metric("landfall_notifications_total{target=\"app\",outcome=\"delivered\"} 3").await;
    landfall.metric("landfall_event_lag_seconds_count{stage=\"notified\"} 6").await;
}

async fn a_call_that_failed_is_sent_again_while_the_caller_waits(database: Database) {
    let server = failing(2, Reply::status("500 Internal Server Error")).await;
    let (_folder, path) = targets_file(&[target("app", &server, "call_ttl_secs = 60")]);
    let landfall = start(database, 1, &path, &[]).await;
    landfall.send(CALL, "rtc_1").await;
    assert_eq!(notifications(&server.wait_for(3).await).len(), 1, "one id, the same bytes");
    let row = rows_when(&landfall, 1, NotificationState::Delivered).await.remove(0);
    assert_eq!((row.attempts, row.reason, row.last_status), (3, None, Some(200)));
    let store = landfall.store().await;
    let attempts = store.notification_attempts("default", &row.notification.id).await.unwrap();
    assert_eq!(attempts.iter().map(|one| one.status).collect::<Vec<_>>(), [Some(500), Some(500), Some(200)]);
}

async fn a_call_is_given_up_when_it_is_too_late(database: Database) {
    let server = failing(usize::MAX, Reply::status("500 Internal Server Error")).await;
    let (_folder, path) = targets_file(&[target("app", &server, "call_ttl_secs = 30")]);
    let schedule = [("NOTIFICATION_SCHEDULE", "0.05,60")];
    let landfall = start(database, 1, &path, &schedule).await;
    landfall.send(CALL, "rtc_1").await;
    let row = rows_when(&landfall, 1, NotificationState::GivenUp).await.remove(0);
    assert_eq!((row.reason, row.attempts), (Some(Reason::TooLate.into()), 2), "the third would be too late");
    landfall.a_worker_logs("\"reason\":\"too_late\"").await;

    // OpenAI sends an hour late.
    let old = format!(
        r#"{{"id":"evt_old","object":"event","created_at":{},"type":"{CALL}","data":{{"call_id":"rtc_old"}}}}"#,
        now_secs() - 3600
    );
    landfall.post(&SignedWebhook::with_body("wh_old", old.into_bytes())).await;
    let rows = rows_when(&landfall, 2, NotificationState::GivenUp).await;
    let old = rows.iter().find(|row| row.attempts == 0).unwrap();
    assert_eq!(old.reason, Some(Reason::TooLate.into()));
    assert_eq!(server.received().len(), 2);
    // All that were given up, but not the calls; a call only by its id.
    let retry = landfall.landfall(&["notifications", "retry", "--all"]);
    assert!(String::from_utf8_lossy(&retry.stdout).starts_with("0 notifications"), "{retry:?}");
    let retry = landfall.landfall(&["notifications", "retry", &old.notification.id]);
    assert!(retry.status.success(), "{retry:?}");
    let body = serde_json::from_slice::<Value>(&server.wait_for(3).await[2].body).unwrap();
    assert_eq!(
        (&body["data"]["object"]["id"], &body["data"]["event"]["age_secs"]),
        (&"rtc_old".into(), &3600.into())
    );
}

async fn a_paused_target_gets_no_call(database: Database) {
    let paused = Receiver::start(|_| Reply::ok()).await;
    let well = Receiver::start(|_| Reply::ok()).await;
    let (_folder, path) =
        targets_file(&[target("paused", &paused, "call_ttl_secs = 2"), target("well", &well, "")]);
    let mut landfall = start(database, 1, &path, &[]).await;
    landfall.store().await.set_target_state("paused", TargetState::Paused, chrono::Utc::now()).await.unwrap();
    // A new worker knows it from the start.
    landfall.workers.pop().unwrap().stop();
    landfall.add_worker();
    landfall.send(CALL, "rtc_1").await;
    well.wait_for(1).await;
    let late = wait::until("the call to be too late", async || {
        let rows = rows(&landfall).await;
        rows.into_iter().find(|row| row.state == NotificationState::GivenUp)
    })
    .await;
    assert_eq!((late.notification.target.as_str(), late.attempts), ("paused", 0));
    assert_eq!(late.reason, Some(Reason::TooLate.into()));
    assert_eq!(paused.connections(), 0);
}

async fn a_worker_killed_while_it_sends_a_call_is_replaced(database: Database) {
    let server = failing(1, Reply::Stall).await;
    let (_folder, path) = targets_file(&[target("app", &server, "call_ttl_secs = 100\ntimeout_secs = 100")]);
    let mut landfall = start(database, 1, &path, &[("LEASE_SECS", "1")]).await;
    landfall.workers[0].wait_for_log("worker started");
    landfall.send(CALL, "rtc_1").await;
    server.wait_for(1).await;
    assert!(rows(&landfall).await.is_empty(), "there is no row yet");
    landfall.workers[0].kill();
    landfall.add_worker();
    let notified = notifications(&server.wait_for(2).await);
    assert_eq!(notified.len(), 1, "one id, the same bytes");
    let row = rows_when(&landfall, 1, NotificationState::Delivered).await.remove(0);
    assert!(notified.contains_key(&row.notification.id));
    landfall.settled().await;
    assert_eq!(server.received().len(), 2);
}

async fn a_target_that_stalls_delays_no_other_call(database: Database) {
    const CALLS: usize = 5;
    let stalling = Receiver::start(|_| Reply::Stall).await;
    let well = Receiver::start(|_| Reply::ok()).await;
    let (_folder, path) = targets_file(&[
        target("stalls", &stalling, "call_ttl_secs = 20\ntimeout_secs = 100"),
        target("well", &well, ""),
    ]);
    let mut landfall = start(database, 1, &path, &[("WORKER_CONCURRENCY", "1")]).await;
    landfall.workers[0].wait_for_log("worker started");
    for number in 0..CALLS {
        landfall.send(CALL, &format!("rtc_{number}")).await;
    }
    well.wait_for(CALLS).await;
    stalling.wait_for(CALLS).await;
    assert!(rows(&landfall).await.is_empty(), "none of them was waited for in the only slot");
    let other = landfall.send("response.completed", "resp_demo_research").await;
    landfall.event_when(&other, |event| event.processed_at.is_some()).await;
    // The response's notifications are not among the calls.
    let calls = wait::until("the rows of all calls", async || {
        let mut rows = rows(&landfall).await;
        rows.retain(|row| row.notification.urgent);
        (rows.len() == 2 * CALLS).then_some(rows)
    })
    .await;
    for row in calls {
        match row.notification.target.as_str() {
            "well" => assert_eq!(row.state, NotificationState::Delivered),
            _ => assert_eq!(
                (row.state, row.reason),
                (NotificationState::GivenUp.into(), Some(Reason::TooLate.into()))
            ),
        }
    }
}

on_both_databases!(
    a_call_is_sent_before_it_is_stored_and_once,
    a_call_that_failed_is_sent_again_while_the_caller_waits,
    a_call_is_given_up_when_it_is_too_late,
    a_paused_target_gets_no_call,
    a_worker_killed_while_it_sends_a_call_is_replaced,
    a_target_that_stalls_delays_no_other_call,
);
