//! Notifications that expire: sent before their rows, and given up when they are too late.

use chrono::{DateTime, Utc};
use store::{
    AttemptEnd, Completion, FinishedEvent, LeaseRequest, NewNotification, NextStep, NotificationFilter,
    NotificationRecord, Store, TargetState,
};
use webhook::{NotificationState, Reason};

use crate::fixture::Fixture;
use crate::notifications::{end, new, request};
use crate::samples::{at, completion, event};

const EXPIRES_SECS: i64 = 10;

fn call(id: &str, target: &str) -> NewNotification {
    NewNotification { urgent: true, expires_at: Some(at(EXPIRES_SECS)), ..new(id, target) }
}

/// How an attempt ended that was made before the notification's row was written.
fn early(notification: &NewNotification, next: NextStep) -> AttemptEnd {
    let record = NotificationRecord {
        notification: notification.clone(),
        state: NotificationState::Pending.into(),
        reason: None,
        attempts: 0,
        attempts_before: 0,
        next_attempt_at: None,
        lease_until: None,
        delivered_at: None,
        last_status: None,
        last_error: None,
    };
    AttemptEnd { owner: None, ..end(&record, "", next, at(1)) }
}

fn finished(notifications: &[NewNotification], sent_early: Vec<AttemptEnd>) -> FinishedEvent {
    FinishedEvent {
        event: event("wh_1", "rtc_1"),
        response: None,
        completion: Completion { notifications: notifications.to_vec(), sent_early, ..completion("wh_1") },
    }
}

async fn lease(store: &Store, now: DateTime<Utc>) -> Vec<String> {
    let request = LeaseRequest { urgent: true, ..request("app", "a") };
    let leased = store.lease_notifications(&request, now).await.unwrap();
    leased.notifications.into_iter().map(|record| record.notification.id).collect()
}

async fn expire(store: &Store, now: DateTime<Utc>) -> Vec<String> {
    let expired = store.expire_notifications("app", now).await.unwrap();
    expired.into_iter().map(|record| record.notification.id).collect()
}

/// State, reason and number of attempts by id.
async fn states(fixture: &Fixture) -> Vec<String> {
    let select = "SELECT id || ' ' || state || ' ' || coalesce(reason, '-') || ' ' || attempts FROM notifications ORDER BY id";
    fixture.select(select).await.into_iter().map(|mut row| row.remove(0).unwrap()).collect()
}

pub(crate) async fn what_was_sent_before_its_row_is_written_as_it_ended(fixture: Fixture) {
    let store = &fixture.store;
    let calls = ["ntf_1", "ntf_2", "ntf_3", "ntf_4"].map(|id| call(id, "app"));
    let ends = vec![
        early(&calls[2], NextStep::GiveUp(Reason::TooLate)),
        early(&calls[1], NextStep::RetryAt(at(5))),
        early(&calls[0], NextStep::Delivered),
    ];
    store.save_finished(&[], &[finished(&calls, ends)]).await.unwrap();
    let written =
        ["ntf_1 delivered - 1", "ntf_2 pending - 1", "ntf_3 given_up too_late 1", "ntf_4 pending - 0"];
    assert_eq!(states(&fixture).await, written);
    let log = store.notification_attempts("default", "ntf_1").await.unwrap();
    assert_eq!((log.len(), log[0].attempt, log[0].status), (1, 1, Some(200)));
    assert_eq!(store.target_health().await.unwrap()[0].failures_in_row, 0, "the last one was delivered");
    assert_eq!(lease(store, at(2)).await, ["ntf_4"], "nothing that was sent is sent again at once");
    assert_eq!(lease(store, at(5)).await, ["ntf_2"], "by its schedule");

    // A worker that was thought dead writes the same event: leased, delivered and given up rows do not change.
    let late = [0, 1, 2, 3].map(|n| early(&calls[n], NextStep::RetryAt(at(3))));
    store.save_finished(&[], &[finished(&calls, late.to_vec())]).await.unwrap();
    assert_eq!(states(&fixture).await, written);
}

pub(crate) async fn a_row_that_waits_is_delivered_by_whoever_sent_it_early(fixture: Fixture) {
    let store = &fixture.store;
    let calls = [call("ntf_1", "app"), call("ntf_2", "chat")];
    store.save_finished(&[], &[finished(&calls, Vec::new())]).await.unwrap();
    let ends = calls.iter().rev().map(|call| early(call, NextStep::Delivered)).collect();
    let again = FinishedEvent {
        completion: Completion { attempts: 2, ..finished(&calls, ends).completion },
        ..finished(&[], Vec::new())
    };
    store.save_finished(&[], &[again]).await.unwrap();
    assert_eq!(states(&fixture).await, ["ntf_1 delivered - 1", "ntf_2 delivered - 1"]);
    assert!(lease(store, at(5)).await.is_empty());
}

pub(crate) async fn failures_of_early_attempts_open_the_breaker(fixture: Fixture) {
    let store = &fixture.store;
    let calls = ["ntf_1", "ntf_2", "ntf_3"].map(|id| call(id, "app"));
    let ends = calls.iter().map(|call| early(call, NextStep::RetryAt(at(2)))).collect();
    store.save_finished(&[], &[finished(&calls, ends)]).await.unwrap();
    let health = &store.target_health().await.unwrap()[0];
    assert_eq!(health.failures_in_row, 3);
    assert!(!health.accepts(request("app", "a").breaker, at(2)));
    assert!(lease(store, at(2)).await.is_empty(), "the breaker is open");
}

pub(crate) async fn a_notification_that_expires_is_given_up_as_too_late(fixture: Fixture) {
    let store = &fixture.store;
    let ordinary = NewNotification { urgent: true, ..new("ntf_ordinary", "app") };
    let other = call("ntf_other", "chat");
    store.add_notifications(&[call("ntf_1", "app"), call("ntf_2", "app"), ordinary, other]).await.unwrap();
    let limited = LeaseRequest { urgent: true, limit: 1, ..request("app", "a") };
    let leased = store.lease_notifications(&limited, at(0)).await.unwrap().notifications;
    store.set_target_state("app", TargetState::Paused, at(1)).await.unwrap();
    assert!(expire(store, at(EXPIRES_SECS - 1)).await.is_empty());
    assert_eq!(expire(store, at(EXPIRES_SECS)).await, ["ntf_2"], "although the target is paused");
    assert!(expire(store, at(EXPIRES_SECS)).await.is_empty(), "once");
    let now = [
        "ntf_1 pending - 0",
        "ntf_2 given_up too_late 0",
        "ntf_ordinary pending - 0",
        "ntf_other pending - 0",
    ];
    assert_eq!(states(&fixture).await, now, "an attempt under way ends first");
    let failed = end(&leased[0], "a", NextStep::GiveUp(Reason::GaveUp), at(EXPIRES_SECS + 1));
    assert!(store.settle_notification(&failed).await.unwrap());
    assert_eq!(states(&fixture).await[0], "ntf_1 given_up gave_up 1");

    let except = NotificationFilter { except: Some(Reason::TooLate), ..NotificationFilter::default() };
    assert_eq!(store.list_notifications(&except).await.unwrap().len(), 3);
    // A person who asks for it gets it, however late it is.
    store.set_target_state("app", TargetState::Active, at(20)).await.unwrap();
    let asked = store.retry_notification("ntf_2", at(20)).await.unwrap().unwrap();
    assert_eq!((asked.reason, asked.notification.expires_at), (None, None));
    assert!(expire(store, at(20)).await.is_empty());
    assert!(lease(store, at(20)).await.contains(&"ntf_2".to_owned()));
}
