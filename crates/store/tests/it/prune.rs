//! Retention: old rows and files are deleted together; those in use are kept.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::task::Poll;

use store::{
    Appended, BatchEnd, BatchRecord, Completion, FileRecord, Found, NewEvent, NewNotification, Pruned,
    ResponseRecord, ResultFilter, ResultSource, Retention, Store, StoreError, StoredBatch,
};
use webhook::Family;

use crate::fixture::Fixture;
use crate::notifications::new;
use crate::samples::{
    agent, at, batch, chunk, completion, eval_run, event, fine_tuning, response, result, safety_alert,
};

const LINES: i64 = 12_000;

/// Everything received before the second `secs` of the test.
fn older(family: Family, secs: i64) -> Retention {
    Retention { family, before: at(secs) }
}

async fn prune(store: &Store, retention: Retention) -> Pruned {
    let prunable = store.prunable(&retention).await.unwrap();
    let mut pruned = Pruned::default();
    store.prune(&retention, |step| pruned.add(step)).await.unwrap();
    assert_eq!(pruned, prunable, "a dry run predicts what is deleted");
    assert!(store.prunable(&retention).await.unwrap().is_nothing());
    pruned
}

/// An event and its completion.
async fn add_event(
    store: &Store,
    family: Family,
    webhook_id: &str,
    object_id: &str,
    secs: i64,
) -> Completion {
    let event = NewEvent { family, received_at: at(secs), ..event(webhook_id, object_id) };
    store.record_delivery(&event, 1).await.unwrap();
    completion(webhook_id)
}

async fn add_file(store: &Store, object_id: &str, file_id: &str) -> FileRecord {
    let mut writer = store.files().create("default", object_id, file_id).await.unwrap();
    writer.write("{}\n".into()).await.unwrap();
    let stored = writer.finish().await.unwrap();
    let file = FileRecord {
        object_id: object_id.to_owned(),
        file_id: file_id.to_owned(),
        location: stored.location,
        bytes: stored.bytes,
        sha256: stored.sha256,
        ..crate::samples::file()
    };
    store.save_file(&file).await.unwrap();
    file
}

async fn add_batch(store: &Store, webhook_id: &str, lines: i64) {
    let done = add_event(store, Family::Batch, webhook_id, "batch_1", 0).await;
    let record = BatchRecord { requests_total: Some(lines + 1), ..batch() };
    store.begin_batch(&record).await.unwrap();
    import(store, lines).await;
    store.finish_batch("batch_1", BatchEnd::Complete, &done).await.unwrap();
}

/// Imports the missing lines: up to `lines` of the output file, and one of the error file.
async fn import(store: &Store, lines: i64) {
    let batch = the_batch(store).await;
    for (source, next_line, lines) in [
        (ResultSource::Output, batch.output_next_line, lines),
        (ResultSource::Error, batch.error_next_line, 1),
    ] {
        let rows = (next_line..=lines).map(result).collect();
        let added = store.append_batch_results(&chunk(source, next_line, rows)).await.unwrap();
        assert_eq!(added, Appended::Added);
    }
}

async fn the_batch(store: &Store) -> StoredBatch {
    match store.find("batch_1").await.unwrap().pop() {
        Some(Found::Batch(batch)) => batch,
        found => panic!("a batch was expected: {found:?}"),
    }
}

pub(crate) async fn old_rows_and_files_are_pruned_and_those_in_use_are_kept(fixture: Fixture) {
    let store = &fixture.store;
    let named = |id: &str, secs| ResponseRecord {
        response_id: id.to_owned(),
        received_at: at(secs),
        ..response("{}")
    };
    for (id, secs) in [("resp_old", 0), ("resp_waited_for", 0), ("resp_seen_again", 0), ("resp_new", 100)] {
        let done = add_event(store, Family::Response, &format!("wh_{id}"), id, secs).await;
        store.save_response(&named(id, secs), &done).await.unwrap();
        add_file(store, id, &format!("{id}.json")).await;
    }
    // An unsettled event and a newer one.
    add_event(store, Family::Response, "wh_unsettled", "resp_waited_for", 1).await;
    let again = add_event(store, Family::Response, "wh_again", "resp_seen_again", 100).await;
    store.complete_event(&again).await.unwrap();
    let attempts = "INSERT INTO event_attempts (project, webhook_id, attempt, worker, started_at, duration_ms, outcome) \
                    SELECT project, webhook_id, 1, 'host-1', received_at, 1, 'retry' FROM events";
    fixture.execute(attempts).await;
    let old_file = store.find("resp_old.json").await.unwrap().pop();
    let Some(Found::File(old_file)) = old_file else { panic!("{old_file:?}") };

    let pruned = prune(store, older(Family::Response, 50)).await;
    // The events of all three old responses are settled; the unsettled one is kept.
    assert_eq!(pruned, Pruned { objects: 1, events: 3, files: 1, file_bytes: 3, ..Pruned::default() });
    let ids = |rows: Vec<Vec<Option<String>>>| {
        rows.into_iter().map(|row| row[0].clone().unwrap()).collect::<Vec<_>>()
    };
    let left = ids(fixture.select("SELECT response_id FROM responses ORDER BY 1").await);
    assert_eq!(left, ["resp_new", "resp_seen_again", "resp_waited_for"]);
    assert_eq!(ids(fixture.select("SELECT file_id FROM files ORDER BY 1").await).len(), 3);
    assert!(store.files().open(&old_file.location).await.is_err(), "the file still exists");
    let events = ids(fixture.select("SELECT webhook_id FROM events ORDER BY 1").await);
    assert_eq!(events, ["wh_again", "wh_resp_new", "wh_unsettled"]);
    let attempts = ids(fixture.select("SELECT webhook_id FROM event_attempts ORDER BY 1").await);
    assert_eq!(attempts, events);
}

/// Prunes for the given number of steps, then stops as if the process were killed.
async fn interrupted(store: &Store, retention: &Retention, steps_max: u32) {
    let steps = Cell::new(0);
    let mut pruning = pin!(store.prune(retention, |_| steps.set(steps.get() + 1)));
    std::future::poll_fn(|context| match pruning.as_mut().poll(context) {
        Poll::Ready(ended) => panic!("it came to its end: {ended:?}"),
        Poll::Pending if steps.get() >= steps_max => Poll::Ready(()),
        Poll::Pending => Poll::Pending,
    })
    .await;
}

pub(crate) async fn an_interrupted_prune_leaves_a_batch_that_can_be_imported_again_or_pruned(
    fixture: Fixture,
) {
    let store = &fixture.store;
    add_batch(store, "wh_1", LINES).await;
    add_file(store, "batch_1", "file_out").await;
    let retention = older(Family::Batch, 50);
    for steps in [1, 2, 3] {
        interrupted(store, &retention, steps).await;
        let half = the_batch(store).await;
        assert!(half.rows_stored <= LINES && !half.results_complete, "{half:?}");
        let rows = fixture.select("SELECT count(*), coalesce(max(line), 0) FROM batch_results").await;
        let rows: Vec<i64> = rows[0].iter().map(|cell| cell.as_ref().unwrap().parse().unwrap()).collect();
        assert_eq!(rows[0], half.rows_stored);
        assert_eq!((half.output_next_line, half.error_next_line), (rows[1] + 1, 1));

        // A replay restores the rest.
        store.begin_batch(&batch()).await.unwrap();
        import(store, LINES).await;
        store.finish_batch("batch_1", BatchEnd::Complete, &completion("wh_1")).await.unwrap();
        let whole = the_batch(store).await;
        assert_eq!((whole.rows_stored, whole.results_complete), (LINES + 1, true));
        let all = store.batch_results(&ResultFilter::of("default", "batch_1", 1_000_000)).await.unwrap();
        assert_eq!(all.len() as i64, LINES + 1);
    }
    // The newest event of all is kept.
    let pruned = prune(store, retention).await;
    assert_eq!(
        pruned,
        Pruned { objects: 1, results: LINES as u64 + 1, files: 1, file_bytes: 3, ..Pruned::default() }
    );
    for table in ["batches", "batch_results", "files"] {
        assert!(fixture.dump(table).await.is_empty(), "{table}");
    }
}

pub(crate) async fn each_family_is_pruned_alone(fixture: Fixture) {
    let store = &fixture.store;
    let new_notification =
        NewNotification { webhook_id: Some("wh_response".to_owned()), ..new("n_1", "app") };
    let done = add_event(store, Family::Response, "wh_response", "resp_1", 0).await;
    let done = Completion { notifications: vec![new_notification], ..done };
    store.save_response(&response("{}"), &done).await.unwrap();
    let done = add_event(store, Family::FineTuning, "wh_job", "ftjob_1", 0).await;
    store.save_fine_tuning(&fine_tuning(), &done).await.unwrap();
    let done = add_event(store, Family::Eval, "wh_run", "evalrun_1", 0).await;
    store.save_eval_run(&eval_run(), &done).await.unwrap();
    let done = add_event(store, Family::Safety, "wh_alert", "alert_1", 0).await;
    store.save_safety_alert(&safety_alert(), &done).await.unwrap();
    let done = add_event(store, Family::Agent, "wh_agent", "asess_1", 0).await;
    store.save_agent(&agent(), &done).await.unwrap();
    let call = add_event(store, Family::Realtime, "wh_call", "rtc_1", 0).await;
    store.complete_event(&call).await.unwrap();
    // An import in progress, and finally an event that is kept because it is the newest.
    store.begin_batch(&batch()).await.unwrap();
    add_event(store, Family::Batch, "wh_batch", "batch_1", 0).await;

    let one = Pruned { objects: 1, events: 1, ..Pruned::default() };
    assert_eq!(prune(store, older(Family::FineTuning, 0)).await, Pruned::default());
    assert_eq!(prune(store, older(Family::FineTuning, 1)).await, one);
    for table in ["fine_tuning_jobs", "fine_tuned_models", "fine_tuning_metrics"] {
        assert!(fixture.dump(table).await.is_empty(), "{table}");
    }
    assert_eq!(prune(store, older(Family::Realtime, 1)).await, Pruned { events: 1, ..Pruned::default() });
    assert_eq!(prune(store, older(Family::Eval, 1)).await, one);
    assert_eq!(prune(store, older(Family::Safety, 1)).await, one);
    assert!(fixture.dump("safety_alerts").await.is_empty());
    assert_eq!(prune(store, older(Family::Agent, 1)).await, one);
    for table in ["agent_sessions", "agent_turns"] {
        assert!(fixture.dump(table).await.is_empty(), "{table}");
    }
    assert_eq!(fixture.dump("responses").await.len(), 1);
    assert_eq!(
        prune(store, older(Family::Response, 1)).await,
        Pruned::default(),
        "its notification is pending"
    );
    fixture.execute("UPDATE notifications SET state = 'delivered'").await;
    assert_eq!(prune(store, older(Family::Response, 1)).await, Pruned { notifications: 1, ..one });
    assert_eq!(prune(store, older(Family::Batch, 1)).await, Pruned::default());
    assert_eq!((fixture.dump("batches").await.len(), fixture.dump("events").await.len()), (1, 1));
}

/// Runs until the next step has ended; false if there was none.
async fn next_step(
    mut pruning: Pin<&mut impl Future<Output = Result<(), StoreError>>>,
    steps: &Cell<u32>,
) -> bool {
    let before = steps.get();
    std::future::poll_fn(|context| match pruning.as_mut().poll(context) {
        Poll::Ready(ended) => {
            ended.unwrap();
            Poll::Ready(false)
        }
        Poll::Pending if steps.get() > before => Poll::Ready(true),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// The rows of all tables that `prune` deletes from.
async fn count_rows(fixture: &Fixture) -> i64 {
    let mut count = 0;
    for table in [
        "events",
        "event_attempts",
        "notifications",
        "notification_attempts",
        "responses",
        "batches",
        "batch_results",
    ] {
        let rows = fixture.select(&format!("SELECT count(*) FROM {table}")).await;
        count += rows[0][0].as_ref().unwrap().parse::<i64>().unwrap();
    }
    count
}

/// 300 events with 20 attempts each, a notification and its attempt; 6,000 responses without files.
async fn add_many_rows(fixture: &Fixture) {
    let numbers = |last: u32| {
        format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})"
        )
    };
    let (few, many, time) = (numbers(300), numbers(6000), "'2025-01-01T00:00:00.000000Z'");
    let body = if fixture.is_postgres() { "'\\x7b7d'" } else { "X'7B7D'" };
    let inserts = format!(
        "{few} INSERT INTO events (project, webhook_id, type, family, received_at, attempts, state)
         SELECT 'default', 'wh_' || n, 'x', 'response', {time}, 20, 'dead' FROM numbers;
         {many} INSERT INTO event_attempts (project, webhook_id, attempt, worker, started_at, duration_ms, outcome)
         SELECT 'default', 'wh_' || (n % 300 + 1), n / 300 + 1, 'host-1', {time}, 1, 'retry' FROM numbers;
         {few} INSERT INTO notifications (project, id, target, type, urgent, webhook_id, created_at, body, state)
         SELECT 'default', 'msg_' || n, 'app', 'event.dead', FALSE, 'wh_' || n, {time}, {body}, 'delivered' FROM numbers;
         {few} INSERT INTO notification_attempts (project, notification_id, attempt, started_at, latency_ms)
         SELECT 'default', 'msg_' || n, 1, {time}, 1 FROM numbers;
         {many} INSERT INTO responses (project, response_id, received_at, fetch_state, terminal)
         SELECT 'default', 'resp_' || n, {time}, 'off', TRUE FROM numbers;"
    );
    fixture.execute(&inserts).await;
}

pub(crate) async fn a_step_of_prune_deletes_at_most_5000_rows(fixture: Fixture) {
    let store = &fixture.store;
    add_many_rows(&fixture).await;
    add_batch(store, "wh_batch", LINES).await;
    for (family, rows) in [(Family::Response, 12_900), (Family::Batch, LINES + 2)] {
        let first = count_rows(&fixture).await;
        let steps = Cell::new(0);
        let retention = older(family, 50);
        let mut pruning = pin!(store.prune(&retention, |_| steps.set(steps.get() + 1)));
        let mut before = first;
        while next_step(pruning.as_mut(), &steps).await {
            let after = count_rows(&fixture).await;
            assert!(after < before && before - after <= 5000, "{family}: {before} to {after}");
            before = after;
        }
        assert_eq!(first - before, rows, "{family}");
    }
}

pub(crate) async fn other_writers_get_in_between_the_steps_of_prune(fixture: Fixture) {
    let store = &fixture.store;
    add_many_rows(&fixture).await;
    add_batch(store, "wh_batch", LINES).await;
    let another = fixture.another_handle().await;
    for family in [Family::Response, Family::Batch] {
        let steps = Cell::new(0);
        let retention = older(family, 50);
        let mut pruning = pin!(store.prune(&retention, |_| steps.set(steps.get() + 1)));
        while next_step(pruning.as_mut(), &steps).await {
            let webhook_id = format!("wh_{family}_between_{}", steps.get());
            // It would wait for a transaction of `prune` that is not polled meanwhile.
            another.record_delivery(&event(&webhook_id, "resp_new"), 1).await.unwrap();
        }
        let written = format!("SELECT count(*) FROM events WHERE webhook_id LIKE 'wh_{family}_between_%'");
        assert_eq!(fixture.select(&written).await[0][0], Some(steps.get().to_string()));
        assert!(steps.get() > 3, "{family}: {}", steps.get());
    }
}
