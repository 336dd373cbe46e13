//! What belongs to an object and is fetched beside it: lists of fine-tuning jobs, and input files of batches.

use store::{BatchInput, BatchProgress, CheckpointRecord, FineTuningRecord, JobParts, PartState, Retention};
use webhook::{Family, MaybeKnown};

use crate::fixture::{Fixture, meaning};
use crate::samples::{at, batch, batch_input, chunk, completion, event, file, fine_tuning, result};

fn without_checkpoints(state: PartState) -> FineTuningRecord {
    let parts = JobParts { checkpoints_state: Some(state.into()), ..JobParts::default() };
    FineTuningRecord { parts, ..fine_tuning() }
}

pub(crate) async fn the_lists_of_a_job_are_stored_once_and_stay_stored(fixture: Fixture) {
    let store = &fixture.store;
    store.save_fine_tuning(&without_checkpoints(PartState::Forbidden), &completion("wh_1")).await.unwrap();
    let refused = store.fine_tuning_parts("default", "ftjob_1").await.unwrap();
    assert_eq!((refused.checkpoints_state, refused.events_state), (Some(PartState::Forbidden.into()), None));
    assert_eq!(store.forbidden_fine_tuning_parts().await.unwrap(), (1, Some("ftjob_1".to_owned())));

    // The right was granted; then it is taken away again. The job itself never changes.
    store.save_fine_tuning(&fine_tuning(), &completion("wh_2")).await.unwrap();
    store.save_fine_tuning(&without_checkpoints(PartState::Failed), &completion("wh_3")).await.unwrap();
    let parts = store.fine_tuning_parts("default", "ftjob_1").await.unwrap();
    assert_eq!(parts.checkpoints_state, Some(PartState::Fetched.into()));
    assert_eq!(parts.events_state, Some(PartState::Truncated.into()));
    assert_eq!(store.forbidden_fine_tuning_parts().await.unwrap(), (0, None));
    let steps: Vec<_> = parts.checkpoints.iter().map(|checkpoint| checkpoint.step_number).collect();
    assert_eq!(steps, [Some(10), Some(20)]);
    let ids: Vec<&str> = parts.events.iter().map(|event| event.event_id.as_str()).collect();
    assert_eq!(ids, ["ftevent_2", "ftevent_1"]);
    assert!(store.fine_tuning_parts("other", "ftjob_1").await.unwrap().checkpoints.is_empty());
}

pub(crate) async fn odd_values_of_a_checkpoint_are_stored(fixture: Fixture) {
    let odd = CheckpointRecord {
        checkpoint_id: "x".repeat(5000),
        step_number: None,
        fine_tuned_model_checkpoint: Some("a\0b".to_owned()),
        metrics: Some(r#"{"loss":1e400000,"text":"\u0000"}"#.to_owned()),
        created_at: None,
    };
    let mut record = fine_tuning();
    record.parts.checkpoints = vec![odd];
    for webhook_id in ["wh_1", "wh_2"] {
        fixture.store.save_fine_tuning(&record, &completion(webhook_id)).await.unwrap();
    }
    let parts = fixture.store.fine_tuning_parts("default", "ftjob_1").await.unwrap();
    let [stored] = parts.checkpoints.as_slice() else { panic!("{parts:?}") };
    assert_eq!(stored.fine_tuned_model_checkpoint.as_deref(), Some("a\u{fffd}b"));
    let metrics: serde_json::Value = serde_json::from_str(stored.metrics.as_deref().unwrap()).unwrap();
    assert_eq!(metrics, serde_json::json!({"loss": null, "text": "\u{fffd}"}));
}

pub(crate) async fn a_result_joins_its_request(fixture: Fixture) {
    let store = &fixture.store;
    let progress: BatchProgress = store.begin_batch(&batch()).await.unwrap();
    assert_eq!((progress.input_file_id.as_deref(), progress.input_state), (Some("file_in"), None));
    store
        .append_batch_results(&chunk(store::ResultSource::Output, 1, (1..=3).map(result).collect()))
        .await
        .unwrap();
    // A worker that was killed had stored the first lines.
    let lines: Vec<BatchInput> = (1..=1000).map(batch_input).collect();
    store.save_batch_inputs("default", "batch_1", &lines[..600]).await.unwrap();
    store.save_batch_inputs("default", "batch_1", &lines).await.unwrap();
    store.settle_batch_input("default", "batch_1", Err(PartState::Forbidden)).await.unwrap();
    assert_eq!(store.forbidden_batch_inputs().await.unwrap(), (1, Some("batch_1".to_owned())));
    store.settle_batch_input("default", "batch_1", Ok(&file())).await.unwrap();
    store.settle_batch_input("default", "batch_1", Err(PartState::NotFound)).await.unwrap();
    let state = store.begin_batch(&batch()).await.unwrap().input_state;
    assert_eq!(state.as_ref().and_then(MaybeKnown::known), Some(PartState::Fetched));

    let joined = fixture
        .select(
            "SELECT r.custom_id, i.url FROM batch_results r JOIN batch_inputs i USING (project, batch_id, custom_id) \
             WHERE batch_id = 'batch_1' ORDER BY r.line",
        )
        .await;
    let pair = |n: i64| [Some(format!("request-{n:05}")), Some("/v1/responses".to_owned())].to_vec();
    assert_eq!(joined, [pair(1), pair(2), pair(3)]);
    let read = store.batch_inputs("default", "batch_1", (998, 10)).await.unwrap();
    assert_eq!(read.iter().map(|input| input.line).collect::<Vec<_>>(), [999, 1000]);
    assert_eq!(meaning(read[0].body.as_deref()), meaning(lines[998].body.as_deref()));
}

pub(crate) async fn a_request_that_no_json_column_holds_is_stored_as_bytes(fixture: Fixture) {
    let store = &fixture.store;
    store.begin_batch(&batch()).await.unwrap();
    let bodies = [&br#"{"n":1e400000}"#[..], br#"{"a":"\u0000"}"#, b"\xff no JSON"];
    let lines: Vec<BatchInput> = (1..)
        .zip(bodies)
        .map(|(line, body)| BatchInput {
            custom_id: Some("c".repeat(5000)),
            body: Some(body.to_vec()),
            ..batch_input(line)
        })
        .collect();
    store.save_batch_inputs("default", "batch_1", &lines).await.unwrap();
    assert_eq!(store.batch_inputs("default", "batch_1", (0, 10)).await.unwrap(), lines);
}

pub(crate) async fn parts_are_pruned_with_their_object(fixture: Fixture) {
    let store = &fixture.store;
    store.begin_batch(&batch()).await.unwrap();
    let lines: Vec<BatchInput> = (1..=2500).map(batch_input).collect();
    store.save_batch_inputs("default", "batch_1", &lines).await.unwrap();
    store.settle_batch_input("default", "batch_1", Ok(&file())).await.unwrap();
    store.finish_batch("batch_1", store::BatchEnd::Complete, &completion("wh_1")).await.unwrap();
    store.save_fine_tuning(&fine_tuning(), &completion("wh_1")).await.unwrap();
    store.record_delivery(&event("wh_newest", "resp_1"), 1).await.unwrap();

    let of_batches = Retention { family: Family::Batch, before: at(50) };
    let counted = store.prunable(&of_batches).await.unwrap();
    assert_eq!((counted.inputs, counted.objects), (2500, 1));
    let mut steps = Vec::new();
    store.prune(&of_batches, |step| steps.push(step.inputs)).await.unwrap();
    assert_eq!(steps.iter().sum::<u64>(), 2500);
    assert!(steps.len() >= 3, "all lines were deleted in one transaction: {steps:?}");
    let of_jobs = Retention { family: Family::FineTuning, before: at(50) };
    store.prune(&of_jobs, |_| {}).await.unwrap();
    for table in [
        "batches",
        "batch_inputs",
        "files",
        "fine_tuning_checkpoints",
        "fine_tuning_events",
        "fine_tuning_jobs",
    ] {
        assert!(fixture.dump(table).await.is_empty(), "{table}");
    }
}

pub(crate) async fn a_half_pruned_input_file_is_not_taken_for_a_whole_one(fixture: Fixture) {
    let store = &fixture.store;
    store.begin_batch(&batch()).await.unwrap();
    let lines: Vec<BatchInput> = (1..=2500).map(batch_input).collect();
    store.save_batch_inputs("default", "batch_1", &lines).await.unwrap();
    store.settle_batch_input("default", "batch_1", Ok(&file())).await.unwrap();
    store.finish_batch("batch_1", store::BatchEnd::Complete, &completion("wh_1")).await.unwrap();
    let steps = std::cell::Cell::new(0);
    let of_batches = Retention { family: Family::Batch, before: at(50) };
    {
        let mut pruning = std::pin::pin!(store.prune(&of_batches, |_| steps.set(steps.get() + 1)));
        std::future::poll_fn(|context| match pruning.as_mut().poll(context) {
            std::task::Poll::Ready(ended) => panic!("it came to its end: {ended:?}"),
            std::task::Poll::Pending if steps.get() >= 1 => std::task::Poll::Ready(()),
            std::task::Poll::Pending => std::task::Poll::Pending,
        })
        .await;
    }
    assert_eq!(fixture.dump("batch_inputs").await.len(), 2250);
    assert_eq!(store.begin_batch(&batch()).await.unwrap().input_state, None);
}
