//! Fine-tuning jobs that differ from the documentation, or whose model or files are deleted.

use serde_json::json;
use store::MetricRecord;
use webhook::EventState;

use crate::harness::Landfall;

fn job(result_files: &[&str]) -> serde_json::Value {
    json!({"id": "ftjob-odd", "object": "fine_tuning.job", "status": "succeeded", "model": "gpt-6-luna",
           "fine_tuned_model": "ft:gpt-6-luna:acme::odd", "result_files": result_files,
           "finished_at": 1_795_305_600.5, "error": {"code": null, "message": null, "param": null}})
}

async fn metrics(landfall: &Landfall) -> Vec<(i64, Option<f64>, Option<f64>)> {
    let metrics = landfall.store().await.fine_tuning_metrics("default", "ftjob-odd").await.unwrap();
    let shown = |metric: &MetricRecord| (metric.step, metric.train_loss, metric.valid_loss);
    metrics.iter().map(shown).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_and_base64_result_files_with_empty_cells_are_read_alike() {
    let mut landfall = Landfall::start().await;
    let plain = "step,train_loss,valid_loss\n1,2.5,\n2,,\n";
    // The base64 of "step,train_loss,valid_loss\n3,1.5,1.25\n".
    let base64 = "c3RlcCx0cmFpbl9sb3NzLHZhbGlkX2xvc3MKMywxLjUsMS4yNQo=";
    landfall.fake.add_file("file-plain", &json!({}), plain);
    landfall.fake.add_file("file-base64", &json!({}), base64);
    landfall.fake.add_file("file-other", &json!({}), "an archive of checkpoints, say");
    landfall.fake.add_object(&job(&["file-plain", "", "file-base64", "file-other"])).unwrap();
    let model = json!({"id": "ft:gpt-6-luna:acme::odd", "object": "model", "created": 0, "owned_by": null});
    landfall.fake.add_object(&model).unwrap();
    let id = landfall.send("fine_tuning.job.succeeded", "ftjob-odd").await;
    landfall.settled().await;
    assert_eq!(landfall.event(&id).await.unwrap().attempts, 1);
    assert_eq!(metrics(&landfall).await, [(1, Some(2.5), None), (2, None, None), (3, Some(1.5), Some(1.25))]);
    for (file_id, content) in [("file-plain", plain), ("file-base64", base64)] {
        assert_eq!(std::fs::read_to_string(landfall.file("ftjob-odd", file_id)).unwrap(), content);
    }
    let stored = landfall.show("ftjob-odd");
    assert_eq!(
        (&stored["error"], &stored["finished_at"]),
        (&json!(null), &"2026-11-22T00:00:00.500Z".into())
    );
    landfall.workers[0].wait_for_log("not a metrics table");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_stored_though_its_model_and_its_result_file_are_gone() {
    let landfall = Landfall::start().await;
    landfall.fake.add_object(&job(&["file-deleted"])).unwrap();
    let id = landfall.send("fine_tuning.job.succeeded", "ftjob-odd").await;
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!(event.state, EventState::Stored);
    assert!(event.attempts >= 3, "a missing model was not retried");
    let stored = landfall.show("ftjob-odd");
    assert_eq!((&stored["fetch_state"], &stored["status"]), (&"fetched".into(), &"succeeded".into()));
    assert_eq!(metrics(&landfall).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_file_that_is_not_readable_yet_is_asked_for_again() {
    let landfall = Landfall::start_with(1, &[("NOT_FOUND_FOR_SECS", "60")]).await;
    let mut job = job(&["file-late"]);
    job["fine_tuned_model"] = json!(null);
    landfall.fake.add_object(&job).unwrap();
    let id = landfall.send("fine_tuning.job.succeeded", "ftjob-odd").await;
    landfall.event_when(&id, |event| event.state == EventState::Retrying).await;
    landfall.fake.add_file("file-late", &json!({}), "step,train_loss\n1,0.5\n");
    landfall.settled().await;
    assert_eq!(metrics(&landfall).await, [(1, Some(0.5), None)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_one_of_many_result_files_is_kept_and_read() {
    let landfall = Landfall::start().await;
    let names: Vec<String> = (0..250).map(|n| format!("file-{n:03}")).collect();
    for (step, name) in names.iter().enumerate() {
        landfall.fake.add_file(name, &json!({}), format!("step,train_loss\n{step},0.5\n"));
    }
    let mut job = job(&names.iter().map(String::as_str).collect::<Vec<_>>());
    job["fine_tuned_model"] = json!(null);
    landfall.fake.add_object(&job).unwrap();
    let id = landfall.send("fine_tuning.job.succeeded", "ftjob-odd").await;
    landfall.settled().await;
    assert_eq!(landfall.event(&id).await.unwrap().attempts, 1);
    let steps: Vec<i64> = metrics(&landfall).await.iter().map(|metric| metric.0).collect();
    assert_eq!(steps, (0..250).collect::<Vec<_>>());
    let last = std::fs::read_to_string(landfall.file("ftjob-odd", "file-249")).unwrap();
    assert_eq!(last, "step,train_loss\n249,0.5\n");
    assert_eq!(landfall.show("ftjob-odd")["result_files"].as_array().map(Vec::len), Some(250));
}
