//! Lists page by page, and the store that only reads.

use std::time::Duration;

use store::{EventFilter, NotificationFilter, ObjectFilter, ObjectList, PagePosition, ReadLimits, Store};
use webhook::Family;

use crate::fixture::Fixture;
use crate::notifications;
use crate::samples::{at, batch, completion, eval_run, event, fine_tuning, response};

const LIMIT: u32 = 2;

pub(crate) async fn pages_of_events_follow_each_other_while_more_arrive(fixture: Fixture) {
    let store = &fixture.store;
    let receive = async |id: &str, second| {
        let mut new = event(id, "x");
        (new.family, new.received_at) = (Family::Response, at(second));
        store.record_delivery(&new, 1).await.unwrap();
    };
    // Several were received at the same time.
    for (id, second) in [("wh_1", 1), ("wh_2", 2), ("wh_3", 2), ("wh_4", 2), ("wh_5", 3)] {
        receive(id, second).await;
    }
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let filter = EventFilter { after, limit: LIMIT, ..EventFilter::default() };
        let page = store.list_events(&filter).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(PagePosition { at: last.received_at, id: last.webhook_id.clone() });
        listed.extend(page.into_iter().map(|event| event.webhook_id));
        receive(&format!("wh_new_{}", listed.len()), 9).await;
    }
    assert_eq!(listed, ["wh_5", "wh_4", "wh_3", "wh_2", "wh_1"]);
}

pub(crate) async fn pages_of_objects_follow_each_other_in_every_list(fixture: Fixture) {
    let store = &fixture.store;
    for number in 1..=5 {
        // Two of each were received at the same time.
        let received_at = at(number / 2);
        let id = |prefix: &str| format!("{prefix}{number}");
        let complete = completion(&id("wh_"));
        let mut one = response("{}");
        (one.response_id, one.received_at) = (id("resp_"), received_at);
        store.save_response(&one, &complete).await.unwrap();
        let mut one = batch();
        (one.batch_id, one.received_at) = (id("batch_"), received_at);
        store.begin_batch(&one).await.unwrap();
        let mut one = fine_tuning();
        (one.job.job_id, one.job.received_at) = (id("ftjob-"), received_at);
        store.save_fine_tuning(&one, &complete).await.unwrap();
        let mut one = eval_run();
        (one.run_id, one.received_at) = (id("evalrun_"), received_at);
        store.save_eval_run(&one, &complete).await.unwrap();
    }
    for (list, prefix) in [
        (ObjectList::Responses, "resp_"),
        (ObjectList::Batches, "batch_"),
        (ObjectList::FineTuningJobs, "ftjob-"),
        (ObjectList::EvalRuns, "evalrun_"),
    ] {
        let every = ObjectFilter {
            list,
            project: None,
            status: None,
            model: None,
            since: None,
            after: None,
            limit: LIMIT,
        };
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = store.list_objects(&ObjectFilter { after, ..every.clone() }).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(PagePosition { at: last.received_at, id: last.id.clone() });
            listed.extend(page.into_iter().map(|object| object.id));
        }
        assert_eq!(listed, [5, 4, 3, 2, 1].map(|number| format!("{prefix}{number}")));
        let none = [
            ObjectFilter { project: Some("other".to_owned()), ..every.clone() },
            ObjectFilter { status: Some("no such status".to_owned()), ..every.clone() },
            ObjectFilter { model: Some("no such model".to_owned()), ..every.clone() },
            ObjectFilter { since: Some(at(3)), ..every.clone() },
        ];
        for filter in none {
            assert!(store.list_objects(&filter).await.unwrap().is_empty(), "{filter:?}");
        }
    }
}

pub(crate) async fn pages_of_notifications_follow_each_other(fixture: Fixture) {
    let store = &fixture.store;
    let made: Vec<_> = (1..=5)
        .map(|number| {
            let mut new = notifications::new(&format!("msg_{number}"), "app");
            new.created_at = at(number / 2);
            new
        })
        .collect();
    store.add_notifications(&made).await.unwrap();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let filter = NotificationFilter { after, limit: LIMIT, ..NotificationFilter::default() };
        let page = store.list_notifications(&filter).await.unwrap();
        let Some(last) = page.last() else { break };
        let last = &last.notification;
        after = Some(PagePosition { at: last.created_at, id: last.id.clone() });
        listed.extend(page.into_iter().map(|found| found.notification.id));
    }
    assert_eq!(listed, ["msg_5", "msg_4", "msg_3", "msg_2", "msg_1"]);
}

pub(crate) async fn a_store_for_reading_ends_slow_reads_and_refuses_writes(fixture: Fixture) {
    fixture.store.record_delivery(&event("wh_1", "resp_1"), 1).await.unwrap();
    let limits = |statement_time| ReadLimits { connections: 2, statement_time };
    let open = async |time| Store::open_for_reading(&fixture.config, limits(time)).await.unwrap();
    let reader = open(Duration::from_secs(60)).await;
    assert_eq!(reader.find("wh_1").await.unwrap().len(), 1);
    let refused = reader.record_delivery(&event("wh_2", "resp_2"), 1).await.unwrap_err();
    assert!(!refused.is_too_slow(), "{refused}");
    assert!(fixture.store.find("wh_2").await.unwrap().is_empty());

    // Enough rows that no machine reads them within a millisecond.
    let at = if fixture.is_postgres() { "now()" } else { "'2026-11-30T00:00:00Z'" };
    let many = format!(
        "INSERT INTO notification_targets (target, state, updated_at) \
         WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 200000) \
         SELECT 'target ' || n, 'active', {at} FROM numbers"
    );
    fixture.execute(&many).await;
    let slow = open(Duration::from_millis(1)).await;
    let error = slow.target_health().await.unwrap_err();
    assert!(error.is_too_slow(), "{error:?}");
    // The connection is as good as before.
    assert_eq!(reader.find("wh_1").await.unwrap().len(), 1);
}
