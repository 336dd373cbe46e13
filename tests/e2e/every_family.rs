//! The events of each family end as rows with the results of the job.

use crate::harness::{Database, Landfall};

async fn a_response_is_stored_with_text_sources_and_usage(database: Database) {
    let landfall = Landfall::start_on(database).await;
    landfall.send("response.completed", "resp_demo_research").await;
    landfall.settled().await;
    let response = landfall.show("resp_demo_research");
    assert_eq!(response["status"], "completed");
    assert_eq!(response["fetch_state"], "fetched");
    assert!(response["output_text"].as_str().unwrap().len() > 500);
    assert!(response["completed_at"].is_string());
    let text = response["citations"].to_string();
    assert!(text.contains("url_citation") && text.contains("https://"), "{text}");
    assert!(response["usage"].to_string().contains("input_tokens"));
}

async fn a_failed_and_an_incomplete_response_are_stored_with_their_reason(database: Database) {
    let landfall = Landfall::start_on(database).await;
    for kind in ["failed", "cancelled", "incomplete"] {
        landfall.send(&format!("response.{kind}"), &format!("resp_demo_{kind}")).await;
    }
    landfall.settled().await;
    assert!(landfall.show("resp_demo_failed")["error"].to_string().contains("code"));
    assert_eq!(landfall.show("resp_demo_cancelled")["status"], "cancelled");
    assert!(landfall.show("resp_demo_incomplete")["incomplete_reason"].is_string());
}

async fn a_batch_is_stored_with_both_files_and_one_row_per_line(database: Database) {
    let landfall = Landfall::start_on(database).await;
    landfall.send("batch.completed", "batch_demo_completed").await;
    landfall.settled().await;
    let batch = landfall.show("batch_demo_completed");
    assert_eq!((&batch["status"], &batch["results_complete"]), (&"completed".into(), &true.into()));
    let total = batch["requests_total"].as_i64().unwrap();
    assert_eq!(batch["rows_stored"].as_i64().unwrap(), total);
    let store = landfall.store().await;
    let filter = store::ResultFilter::of("default", "batch_demo_completed", 1000);
    let rows = store.batch_results(&filter).await.unwrap();
    assert_eq!(i64::try_from(rows.len()).unwrap(), total);
    assert!(rows.iter().all(|row| row.custom_id.is_some()));
    let failed = rows.iter().filter(|row| row.error.is_some()).count();
    assert_eq!(i64::try_from(failed).unwrap(), batch["requests_failed"].as_i64().unwrap());
    // Both files are stored byte for byte.
    for file_id in [&batch["output_file_id"], &batch["error_file_id"]] {
        let file_id = file_id.as_str().unwrap();
        let stored_bytes = std::fs::read(landfall.file("batch_demo_completed", file_id)).unwrap();
        assert_eq!(stored_bytes, landfall.fake.file_bytes(file_id).unwrap());
    }
}

async fn partial_results_of_expired_and_cancelled_batches_are_kept(database: Database) {
    let landfall = Landfall::start_on(database).await;
    for kind in ["expired", "cancelled", "failed"] {
        landfall.send(&format!("batch.{kind}"), &format!("batch_demo_{kind}")).await;
    }
    landfall.settled().await;
    for kind in ["expired", "cancelled"] {
        let batch = landfall.show(&format!("batch_demo_{kind}"));
        assert_eq!((&batch["status"], &batch["results_complete"]), (&kind.into(), &true.into()));
        assert!(batch["rows_stored"].as_i64().unwrap() > 0, "{batch}");
    }
    let failed = landfall.show("batch_demo_failed");
    assert_eq!((&failed["rows_stored"], &failed["results_complete"]), (&0.into(), &true.into()));
}

async fn a_fine_tune_is_stored_with_its_model_and_loss_curve(database: Database) {
    let landfall = Landfall::start_on(database).await;
    for kind in ["succeeded", "failed", "cancelled"] {
        landfall.send(&format!("fine_tuning.job.{kind}"), &format!("ftjob_demo_{kind}")).await;
    }
    landfall.settled().await;
    let job = landfall.show("ftjob_demo_succeeded");
    assert_eq!(job["status"], "succeeded");
    assert!(job["trained_tokens"].as_i64().unwrap() > 0);
    let model = landfall.show(job["fine_tuned_model"].as_str().unwrap());
    assert_eq!(model["job_id"], "ftjob_demo_succeeded");
    assert!(model["owned_by"].is_string());
    let metrics =
        landfall.store().await.fine_tuning_metrics("default", "ftjob_demo_succeeded").await.unwrap();
    assert!(metrics.len() >= 10 && metrics[0].train_loss > metrics.last().unwrap().train_loss);
    assert!(landfall.show("ftjob_demo_failed")["error"].to_string().contains("code"));
    assert_eq!(landfall.show("ftjob_demo_cancelled")["status"], "cancelled");
}

async fn an_eval_run_is_found_although_the_event_does_not_name_its_eval(database: Database) {
    let landfall = Landfall::start_on(database).await;
    landfall.send("eval.run.succeeded", "evalrun_demo_succeeded").await;
    let lost = landfall.send("eval.run.failed", "evalrun_of_an_eval_long_gone").await;
    landfall.settled().await;
    let run = landfall.show("evalrun_demo_succeeded");
    assert_eq!((&run["eval_id"], &run["fetch_state"]), (&"eval_demo".into(), &"fetched".into()));
    assert!(run["total"].as_i64().unwrap() > 0);
    assert_eq!(landfall.show("evalrun_of_an_eval_long_gone")["fetch_state"], "not_found");
    assert_eq!(landfall.event(&lost).await.unwrap().state, webhook::EventState::Stored);
}

on_both_databases!(
    a_response_is_stored_with_text_sources_and_usage,
    a_failed_and_an_incomplete_response_are_stored_with_their_reason,
    a_batch_is_stored_with_both_files_and_one_row_per_line,
    partial_results_of_expired_and_cancelled_batches_are_kept,
    a_fine_tune_is_stored_with_its_model_and_loss_curve,
    an_eval_run_is_found_although_the_event_does_not_name_its_eval
);
