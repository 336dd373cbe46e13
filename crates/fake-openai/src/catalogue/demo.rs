//! The objects that are always there. Their ids are fixed (`scripts/demo` and tests name them); their content is
//! in the JSON files beside this one, completed here with what must agree: counts, usage, sizes, positions.

use bytes::Bytes;
use serde_json::{Value, json};

use super::results::{self, BatchFiles};
use super::{Catalogue, PutError, fine_tuning, objects, research};
use crate::content::FileContent;

const RESPONSES: &str = include_str!("demo/responses.json");
const BATCHES: &str = include_str!("demo/batches.json");
const JOBS: &str = include_str!("demo/fine_tuning_jobs.json");
const MODELS: &str = include_str!("demo/models.json");
const EVALS: &str = include_str!("demo/evals.json");
const EVAL_RUNS: &str = include_str!("demo/eval_runs.json");

/// Output of batches is kept for thirty days.
const OUTPUT_KEPT_SECS: i64 = 30 * 86_400;

/// The demo object that an event of this type is about, if there is one.
pub fn demo_object_id(event_type: &str) -> Option<&'static str> {
    Some(match event_type {
        "response.completed" => "resp_demo_research",
        "response.failed" => "resp_demo_failed",
        "response.cancelled" => "resp_demo_cancelled",
        "response.incomplete" => "resp_demo_incomplete",
        "batch.completed" => "batch_demo_completed",
        "batch.failed" => "batch_demo_failed",
        "batch.expired" => "batch_demo_expired",
        "batch.cancelled" => "batch_demo_cancelled",
        "fine_tuning.job.succeeded" => "ftjob_demo_succeeded",
        "fine_tuning.job.failed" => "ftjob_demo_failed",
        "fine_tuning.job.cancelled" => "ftjob_demo_cancelled",
        "eval.run.succeeded" => "evalrun_demo_succeeded",
        "eval.run.failed" => "evalrun_demo_failed",
        "eval.run.canceled" => "evalrun_demo_canceled",
        _ => return None,
    })
}

/// The objects below, as they are at the start.
pub(crate) fn demo_catalogue() -> Catalogue {
    let mut catalogue = Catalogue::default();
    fill(&mut catalogue).expect("the demo's objects are checked by a test");
    catalogue
}

fn fill(catalogue: &mut Catalogue) -> Result<(), PutError> {
    responses(catalogue)?;
    batches(catalogue)?;
    fine_tuning_jobs(catalogue)?;
    for file in [MODELS, EVALS, EVAL_RUNS] {
        for object in read(file) {
            catalogue.put_value(&object, None)?;
        }
    }
    Ok(())
}

fn read(file: &str) -> Vec<Value> {
    serde_json::from_str(file).expect("the file is checked by a test")
}

fn responses(catalogue: &mut Catalogue) -> Result<(), PutError> {
    for mut response in read(RESPONSES) {
        if response["id"] == "resp_demo_research" {
            let output = response["output"].as_array_mut().expect("a response has output");
            let message = output.last_mut().expect("the answer is the last item");
            message["content"] = json!([research::content()]);
        }
        catalogue.put_value(&response, None)?;
    }
    Ok(())
}

fn batches(catalogue: &mut Catalogue) -> Result<(), PutError> {
    for mut batch in read(BATCHES) {
        let files = match batch["id"].as_str() {
            Some("batch_demo_completed") => results::tickets(),
            Some("batch_demo_expired") => results::letters(),
            Some("batch_demo_cancelled") => results::vectors(),
            _ => {
                broken_input(catalogue, &batch)?;
                BatchFiles::default()
            }
        };
        batch["request_counts"] = json!({
            "total": files.input.len(), "completed": files.output.len(), "failed": files.errors.len(),
        });
        batch["usage"] = objects::batch_usage(files.input_tokens, files.output_tokens);
        batch_file(catalogue, &batch, "input", &files.input)?;
        batch_file(catalogue, &batch, "output", &files.output)?;
        batch_file(catalogue, &batch, "error", &files.errors)?;
        catalogue.put_value(&batch, None)?;
    }
    Ok(())
}

/// One of a batch's three files, if it has lines and an id.
fn batch_file(catalogue: &mut Catalogue, batch: &Value, role: &str, lines: &[Value]) -> Result<(), PutError> {
    let id = batch[format!("{role}_file_id")].as_str().unwrap_or_default();
    if id.is_empty() || lines.is_empty() {
        return Ok(());
    }
    let created = batch["finalizing_at"].as_i64().or_else(|| batch["cancelling_at"].as_i64());
    let created = created.or_else(|| batch["created_at"].as_i64()).unwrap_or_default();
    let batch_id = batch["id"].as_str().unwrap_or_default();
    let object = match role {
        "input" => {
            json!({"created_at": batch["created_at"], "filename": "requests.jsonl", "purpose": "batch"})
        }
        _ => json!({
            "created_at": created, "expires_at": created + OUTPUT_KEPT_SECS,
            "filename": format!("{batch_id}_{role}.jsonl"), "purpose": "batch_output",
        }),
    };
    let text = BatchFiles::text(lines);
    catalogue.put_file(id, &object, FileContent::Kept(Bytes::from(text)))
}

/// Nine lines, of which the third is no JSON and the ninth repeats a custom id.
fn broken_input(catalogue: &mut Catalogue, batch: &Value) -> Result<(), PutError> {
    let line = |number: u32| {
        let body = json!({"model": "gpt-5.4-mini-2026-03-17", "input": "Hello"});
        let custom_id = format!("ticket-{number:04}");
        json!({"custom_id": custom_id, "method": "POST", "url": "/v1/responses", "body": body}).to_string()
    };
    let mut lines: Vec<String> = (1..=8).map(line).collect();
    lines[2].truncate(40);
    lines.push(line(7));
    let id = batch["input_file_id"].as_str().unwrap_or_default();
    let object = json!({"created_at": batch["created_at"], "filename": "requests.jsonl", "purpose": "batch"});
    let text = lines.join("\n") + "\n";
    catalogue.put_file(id, &object, FileContent::Kept(Bytes::from(text)))
}

fn fine_tuning_jobs(catalogue: &mut Catalogue) -> Result<(), PutError> {
    for job in read(JOBS) {
        let created = job["created_at"].as_i64().unwrap_or_default();
        if job["id"] == "ftjob_demo_succeeded" {
            let model = job["fine_tuned_model"].as_str().unwrap_or_default();
            let finished = job["finished_at"].as_i64().unwrap_or_default();
            for checkpoint in fine_tuning::checkpoints("ftjob_demo_succeeded", model, finished - 100) {
                catalogue.put_value(&checkpoint, None)?;
            }
            for event in fine_tuning::events(model, created) {
                catalogue.put_value(&event, Some("ftjob_demo_succeeded"))?;
            }
            let object = json!({"created_at": finished, "filename": "step_metrics.csv", "purpose": "fine-tune-results"});
            let content = FileContent::Kept(Bytes::from(fine_tuning::result_file()));
            catalogue.put_file("file-DemoResultFile", &object, content)?;
            training_files(catalogue, created)?;
        }
        catalogue.put_value(&job, None)?;
    }
    Ok(())
}

fn training_files(catalogue: &mut Catalogue, created: i64) -> Result<(), PutError> {
    for (id, name) in [("file-DemoTraining", "train.jsonl"), ("file-DemoValidation", "valid.jsonl")] {
        let example = json!({"messages": [
            {"role": "user", "content": "My invoice shows two seats."},
            {"role": "assistant", "content": "billing"},
        ]});
        let object = json!({"created_at": created - 60, "filename": name, "purpose": "fine-tune"});
        let text = format!("{example}\n").repeat(10);
        catalogue.put_file(id, &object, FileContent::Kept(Bytes::from(text)))?;
    }
    Ok(())
}
