//! `POST /v1/batches`: a job with a webhook. Its output has a line for each line of its input.

use std::sync::Arc;

use actix_web::HttpResponse;
use serde_json::{Value, json};

use super::answers::Endpoint;
use super::batch_input::{self, Results};
use super::job::{Job, Step};
use super::params::Params;
use crate::api_error::ApiError;
use crate::endpoints::ApiRequest;
use crate::event::{now_secs, random_hex};
use crate::fixtures::batch_usage;
use crate::http_response::json as as_json;
use crate::kind::Kind;
use crate::state::State;

const WINDOW: &str = "24h";
const WINDOW_SECS: u64 = 86_400;
/// How long output is kept unless the request says otherwise.
const OUTPUT_KEPT_SECS: u64 = 30 * 86_400;

pub(super) fn create(state: &Arc<State>, request: &ApiRequest<'_>) -> Result<HttpResponse, ApiError> {
    let params = Params::parse(request.body)?;
    let (input_file_id, path) = (params.text("input_file_id")?, params.text("endpoint")?);
    let window = params.text("completion_window")?;
    let endpoint = Endpoint::of_path(path);
    let endpoint = endpoint.ok_or_else(|| ApiError::not_one_of("endpoint", path, &Endpoint::PATHS))?;
    if window != WINDOW {
        return Err(ApiError::not_one_of("completion_window", window, &[WINDOW]));
    }
    let content = state.fixtures().file_bytes(input_file_id);
    let content = content.ok_or_else(|| ApiError::not_found(Kind::File, input_file_id))?;
    let (id, created) = (format!("batch_{}", random_hex()), now_secs());
    let object = json!({
        "id": id, "object": "batch", "endpoint": path, "model": null, "errors": null,
        "input_file_id": input_file_id, "completion_window": WINDOW, "status": "validating",
        "output_file_id": null, "error_file_id": null, "created_at": created, "in_progress_at": null,
        "expires_at": created + WINDOW_SECS, "finalizing_at": null, "completed_at": null, "failed_at": null,
        "expired_at": null, "cancelling_at": null, "cancelled_at": null,
        "request_counts": counts(0, 0, 0), "usage": batch_usage(0, 0), "metadata": params.metadata(Value::Null)?,
    });
    let answer = as_json(format!("{object:#}"));
    let job = match batch_input::run(&content, path, endpoint) {
        Ok(results) => {
            let kept_secs = params.get("output_expires_after").and_then(|after| after["seconds"].as_u64());
            completing(id, object, results, created + kept_secs.unwrap_or(OUTPUT_KEPT_SECS))
        }
        Err(errors) => failing(id, object, &errors),
    };
    job.start(state);
    Ok(answer)
}

fn completing(id: String, object: Value, results: Results, expires_at: u64) -> Job {
    let Results { output, errors, completed, failed, input_tokens, output_tokens, model } = results;
    let total = completed + failed;
    let mut fields = vec![
        ("status", "completed".into()),
        ("request_counts", counts(total, completed, failed)),
        ("usage", batch_usage(input_tokens, output_tokens)),
    ];
    let mut files = Vec::new();
    for (field, role, content) in [("output_file_id", "output", output), ("error_file_id", "error", errors)] {
        if content.is_empty() {
            continue;
        }
        let file_id = format!("file-{}", random_hex());
        fields.push((field, file_id.clone().into()));
        let file = json!({
            "created_at": now_secs(), "expires_at": expires_at, "purpose": "batch_output",
            "filename": format!("{id}_{role}.jsonl"),
        });
        files.push((file_id, file, content));
    }
    let runs = Step {
        fields: vec![
            ("status", "in_progress".into()),
            ("model", model),
            ("request_counts", counts(total, 0, 0)),
        ],
        times: &["in_progress_at"],
    };
    let ends = Step { fields, times: &["finalizing_at", "completed_at"] };
    Job { kind: Kind::Batch, id, object, runs: Some(runs), ends, files, event_type: "batch.completed" }
}

fn failing(id: String, object: Value, errors: &[Value]) -> Job {
    let fields = vec![("status", "failed".into()), ("errors", json!({"object": "list", "data": errors}))];
    let ends = Step { fields, times: &["failed_at"] };
    Job { kind: Kind::Batch, id, object, runs: None, ends, files: Vec::new(), event_type: "batch.failed" }
}

fn counts(total: u64, completed: u64, failed: u64) -> Value {
    json!({"total": total, "completed": completed, "failed": failed})
}
