//! The outbox: written with the result, leased by one worker at a time, at the target's rate.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use store::{
    AttemptEnd, BreakerPolicy, Completion, Failure, LeaseRequest, NewNotification, NextStep,
    NotificationAttempt, NotificationFilter, NotificationRecord, Store, TargetState,
};
use webhook::{EventState, NotificationState, NotificationType, Reason};

use crate::fixture::Fixture;
use crate::samples::{at, completion, event, response};

const BREAKER: BreakerPolicy =
    BreakerPolicy { failures_max: 3, wait_min: Duration::from_secs(10), wait_max: Duration::from_secs(300) };
const LEASE: Duration = Duration::from_secs(30);

pub(crate) fn new(id: &str, target: &str) -> NewNotification {
    NewNotification {
        project: "default".to_owned(),
        id: id.to_owned(),
        target: target.to_owned(),
        kind: NotificationType::ResponseStored.into(),
        urgent: false,
        webhook_id: Some("wh_1".to_owned()),
        event_id: Some("evt_1".to_owned()),
        object_id: Some("resp_1".to_owned()),
        event_created_at: Some(at(-5)),
        created_at: at(0),
        expires_at: None,
        body: br#"{"type":"response.stored"}"#.to_vec(),
    }
}

pub(crate) fn request(target: &str, owner: &str) -> LeaseRequest {
    LeaseRequest {
        target: target.to_owned(),
        urgent: false,
        limit: 10,
        rate_per_sec: 1000.0,
        owner: owner.to_owned(),
        lease_for: LEASE,
        breaker: BREAKER,
    }
}

async fn lease(store: &Store, owner: &str, now: DateTime<Utc>) -> Vec<NotificationRecord> {
    store.lease_notifications(&request("app", owner), now).await.unwrap().notifications
}

pub(crate) fn end(
    record: &NotificationRecord,
    owner: &str,
    next: NextStep,
    now: DateTime<Utc>,
) -> AttemptEnd {
    let error = (next != NextStep::Delivered).then(|| "the target answered with status 500".to_owned());
    AttemptEnd {
        project: record.notification.project.clone(),
        id: record.notification.id.clone(),
        target: record.notification.target.clone(),
        owner: Some(owner.to_owned()),
        attempt: NotificationAttempt {
            attempt: record.attempts + 1,
            started_at: now,
            latency_ms: 12,
            status: Some(if error.is_some() { 500 } else { 200 }),
            answer: Some("hello".to_owned()),
            error,
        },
        next,
        is_probe: false,
        is_gone: false,
        retry_after: None,
        at: now,
        breaker: BREAKER,
    }
}

async fn only(store: &Store) -> NotificationRecord {
    let mut all = store.list_notifications(&NotificationFilter::default()).await.unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

pub(crate) async fn a_result_and_its_notification_are_written_in_one_transaction(fixture: Fixture) {
    let completion = |ids: &[&str]| Completion {
        notifications: ids.iter().map(|id| new(id, "app")).collect(),
        ..completion("wh_1")
    };
    fixture.store.record_delivery(&event("wh_1", "resp_1"), 1).await.unwrap();
    // Simulates a disk that is full at the last of several notifications.
    fixture.execute("CREATE UNIQUE INDEX stop ON notifications (target, type)").await;
    let failed = fixture.store.save_response(&response("{}"), &completion(&["ntf_1", "ntf_bad"])).await;
    assert!(failed.is_err());
    let rows =
        fixture.select("SELECT (SELECT count(*) FROM responses), (SELECT count(*) FROM notifications)").await;
    assert_eq!(rows, [[Some("0".to_owned()), Some("0".to_owned())]], "neither exists");
    fixture.execute("DROP INDEX stop").await;

    for _again in 0..2 {
        fixture.store.save_response(&response("{}"), &completion(&["ntf_1", "ntf_2"])).await.unwrap();
    }
    let rows = fixture.select("SELECT id, state FROM notifications ORDER BY id").await;
    let pending = Some("pending".to_owned());
    assert_eq!(rows, [[Some("ntf_1".to_owned()), pending.clone()], [Some("ntf_2".to_owned()), pending]]);
}

pub(crate) async fn a_notification_is_written_only_once(fixture: Fixture) {
    fixture.store.add_notifications(&[new("ntf_1", "app")]).await.unwrap();
    let taken = lease(&fixture.store, "a", at(0)).await;
    assert!(
        fixture.store.settle_notification(&end(&taken[0], "a", NextStep::Delivered, at(1))).await.unwrap()
    );
    fixture
        .store
        .add_notifications(&[NewNotification { body: b"other".to_vec(), ..new("ntf_1", "app") }])
        .await
        .unwrap();
    let record = only(&fixture.store).await;
    assert_eq!((record.state, record.delivered_at), (NotificationState::Delivered.into(), Some(at(1))));
    assert_eq!(record.notification.body, new("", "").body);
    assert!(lease(&fixture.store, "a", at(1_000_000)).await.is_empty());
}

pub(crate) async fn a_dead_event_and_its_notification_are_written_together(fixture: Fixture) {
    fixture.store.record_delivery(&event("wh_1", "resp_1"), 1).await.unwrap();
    let failure = Failure {
        project: "default".to_owned(),
        webhook_id: "wh_1".to_owned(),
        attempts: 3,
        state: EventState::Dead,
        reason: Reason::GaveUp,
        error: "no".to_owned(),
        attempt: None,
        notifications: vec![NewNotification {
            kind: NotificationType::EventDead.into(),
            ..new("ntf_1", "app")
        }],
    };
    fixture.store.fail_event(&failure).await.unwrap();
    assert_eq!(only(&fixture.store).await.notification.kind, NotificationType::EventDead);
}

pub(crate) async fn one_worker_at_a_time_leases_a_notification_until_its_lease_expires(fixture: Fixture) {
    let other = fixture.another_handle().await;
    let ids: Vec<String> = (0..40).map(|n| format!("ntf_{n:02}")).collect();
    let all: Vec<NewNotification> = ids.iter().map(|id| new(id, "app")).collect();
    fixture.store.add_notifications(&all).await.unwrap();
    let take = async |store: &Store, owner: &str| {
        let mut ids = Vec::new();
        loop {
            let taken = lease(store, owner, at(0)).await;
            if taken.is_empty() {
                return ids;
            }
            ids.extend(taken.into_iter().map(|record| record.notification.id));
        }
    };
    let (mut a, b) = tokio::join!(take(&fixture.store, "a"), take(&other, "b"));
    assert!(a.is_sorted() && b.is_sorted(), "earliest due first");
    a.extend(b);
    a.sort();
    assert_eq!(a, ids, "each was leased once");

    // Both workers die. Nothing can be leased before their leases expire.
    assert!(lease(&other, "c", at(29)).await.is_empty());
    let again = lease(&other, "c", at(30)).await;
    assert_eq!((again.len(), again[0].attempts), (10, 0), "a crash does not count as an attempt");
    // One of them was only slow: its report comes too late.
    let late = end(&again[0], "a", NextStep::Delivered, at(31));
    assert!(!fixture.store.settle_notification(&late).await.unwrap());
    let record = &fixture.store.notifications_named(&again[0].notification.id).await.unwrap()[0];
    assert_eq!(record.state, NotificationState::Pending);
}

pub(crate) async fn attempts_are_logged_and_scheduled(fixture: Fixture) {
    fixture.store.add_notifications(&[new("ntf_1", "app")]).await.unwrap();
    let steps = [NextStep::RetryAt(at(5)), NextStep::RetryAt(at(305)), NextStep::GiveUp(Reason::GaveUp)];
    for (step, secs) in steps.into_iter().zip([0, 5, 305]) {
        if secs > 0 {
            let early = fixture.store.lease_notifications(&request("app", "a"), at(secs - 1)).await.unwrap();
            assert_eq!((early.notifications.len(), early.next_at), (0, Some(at(secs))));
        }
        let taken = lease(&fixture.store, "a", at(secs)).await;
        assert!(fixture.store.settle_notification(&end(&taken[0], "a", step, at(secs))).await.unwrap());
    }
    let record = only(&fixture.store).await;
    assert_eq!(
        (record.state, record.attempts, record.next_attempt_at),
        (NotificationState::GivenUp.into(), 3, None)
    );
    assert_eq!((record.last_status, record.last_error.is_some()), (Some(500), true));
    let log = fixture.store.notification_attempts("default", "ntf_1").await.unwrap();
    let numbers: Vec<_> = log.iter().map(|a| (a.attempt, a.status, a.answer.as_deref())).collect();
    assert_eq!(numbers, [1, 2, 3].map(|n| (n, Some(500), Some("hello"))));

    fixture.store.set_target_state("app", TargetState::Active, at(399)).await.unwrap();
    let again = fixture.store.retry_notification("ntf_1", at(400)).await.unwrap().unwrap();
    assert_eq!(
        (again.state, again.attempts, again.attempts_before),
        (NotificationState::Pending.into(), 3, 3)
    );
    let taken = lease(&fixture.store, "a", at(400)).await;
    fixture.store.settle_notification(&end(&taken[0], "a", NextStep::Delivered, at(400))).await.unwrap();
    assert_eq!(fixture.store.notification_attempts("default", "ntf_1").await.unwrap().len(), 4);
    assert!(fixture.store.retry_notification("ntf_2", at(400)).await.unwrap().is_none());
}

pub(crate) async fn urgent_notifications_and_other_targets_are_independent(fixture: Fixture) {
    let urgent = NewNotification { urgent: true, created_at: at(9), ..new("ntf_urgent", "app") };
    let all = [new("ntf_1", "app"), new("ntf_2", "chat"), urgent];
    fixture.store.add_notifications(&all).await.unwrap();
    let ids = async |request: LeaseRequest| {
        let leased = fixture.store.lease_notifications(&request, at(10)).await.unwrap();
        leased.notifications.into_iter().map(|record| record.notification.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(LeaseRequest { urgent: true, ..request("app", "a") }).await, ["ntf_urgent"]);
    assert_eq!(ids(request("app", "a")).await, ["ntf_1"]);
    assert_eq!(ids(request("chat", "a")).await, ["ntf_2"]);
}

pub(crate) async fn all_workers_together_respect_the_rate_of_a_target(fixture: Fixture) {
    let other = fixture.another_handle().await;
    let all: Vec<NewNotification> = (0..100).map(|n| new(&format!("ntf_{n:02}"), "app")).collect();
    fixture.store.add_notifications(&all).await.unwrap();
    let slow = |owner: &str| LeaseRequest { rate_per_sec: 5.0, ..request("app", owner) };
    let mut sent = 0;
    for tenth in 0..100 {
        let now = at(0) + TimeDelta::milliseconds(tenth * 100);
        for (store, owner) in [(&fixture.store, "a"), (&other, "b")] {
            sent += store.lease_notifications(&slow(owner), now).await.unwrap().notifications.len();
        }
    }
    assert!((49..=51).contains(&sent), "5 a second for 10 seconds: {sent}");
}

pub(crate) async fn a_failing_target_keeps_its_queue_and_is_probed(fixture: Fixture) {
    let all: Vec<NewNotification> = (0..6).map(|n| new(&format!("ntf_{n}"), "app")).collect();
    fixture.store.add_notifications(&all).await.unwrap();
    for record in lease(&fixture.store, "a", at(0)).await.iter().take(3) {
        let failed = end(record, "a", NextStep::RetryAt(at(5)), at(0));
        fixture.store.settle_notification(&failed).await.unwrap();
    }
    fixture.store.release_notifications("a").await.unwrap();
    let leased = fixture.store.lease_notifications(&request("app", "a"), at(1)).await.unwrap();
    assert_eq!((leased.notifications.len(), leased.next_at), (0, Some(at(10))), "left alone");

    let probe = fixture.store.lease_notifications(&request("app", "a"), at(10)).await.unwrap();
    assert_eq!((probe.notifications.len(), probe.is_probe), (1, true));
    assert!(lease(&fixture.store, "b", at(11)).await.is_empty(), "one probe is enough");
    let back =
        AttemptEnd { is_probe: true, ..end(&probe.notifications[0], "a", NextStep::Delivered, at(12)) };
    fixture.store.settle_notification(&back).await.unwrap();
    assert_eq!(lease(&fixture.store, "b", at(12)).await.len(), 5, "all others");
}

pub(crate) async fn a_paused_or_disabled_target_keeps_its_queue_until_it_is_resumed(fixture: Fixture) {
    fixture.store.add_notifications(&[new("ntf_1", "app")]).await.unwrap();
    fixture.store.set_target_state("app", TargetState::Paused, at(0)).await.unwrap();
    assert!(lease(&fixture.store, "a", at(1_000_000)).await.is_empty());
    let before = fixture.store.set_target_state("app", TargetState::Active, at(1)).await.unwrap();
    assert_eq!(before.state, TargetState::Paused);
    let taken = lease(&fixture.store, "a", at(2)).await;
    let gone = AttemptEnd { is_gone: true, ..end(&taken[0], "a", NextStep::RetryAt(at(7)), at(2)) };
    fixture.store.settle_notification(&gone).await.unwrap();
    assert!(lease(&fixture.store, "a", at(1_000_000)).await.is_empty());
    assert_eq!(fixture.store.target_health().await.unwrap()[0].state, TargetState::Disabled);
    fixture.store.set_target_state("app", TargetState::Active, at(8)).await.unwrap();
    assert_eq!(lease(&fixture.store, "a", at(8)).await.len(), 1);
}

pub(crate) async fn counts_and_last_answers_are_of_the_newest_notifications(fixture: Fixture) {
    let older = NewNotification { created_at: at(-60), ..new("ntf_old", "app") };
    let all = [older, new("ntf_1", "app"), new("ntf_2", "chat"), new("ntf_3", "chat")];
    fixture.store.add_notifications(&all).await.unwrap();
    assert!(fixture.store.last_attempts(10).await.unwrap().is_empty());
    assert!(fixture.store.last_attempt_of_waiting("app").await.unwrap().is_none());
    let failing = lease(&fixture.store, "a", at(0)).await;
    let old = failing.iter().find(|record| record.notification.id == "ntf_old").unwrap();
    let failed = end(old, "a", NextStep::RetryAt(at(60)), at(1));
    fixture.store.settle_notification(&failed).await.unwrap();
    let chat = fixture.store.lease_notifications(&request("chat", "a"), at(0)).await.unwrap();
    for (record, secs) in chat.notifications.iter().zip([3, 2]) {
        fixture.store.settle_notification(&end(record, "a", NextStep::Delivered, at(secs))).await.unwrap();
    }

    let counts = fixture.store.count_newest_notifications(3).await.unwrap();
    let expected = [("app", NotificationState::Pending, 1), ("chat", NotificationState::Delivered, 2)];
    assert_eq!(counts, expected.map(|(target, state, count)| (target.to_owned(), state.into(), count)));
    let last = fixture.store.last_attempts(3).await.unwrap();
    assert_eq!(last.len(), 1, "the older notification is not among the newest: {last:?}");
    assert_eq!((last[0].0.as_str(), last[0].1.started_at), ("chat", at(3)));
    let waiting = fixture.store.last_attempt_of_waiting("app").await.unwrap().unwrap();
    assert_eq!((waiting.started_at, waiting.status), (at(1), Some(500)));
    assert!(fixture.store.last_attempt_of_waiting("chat").await.unwrap().is_none());
}
