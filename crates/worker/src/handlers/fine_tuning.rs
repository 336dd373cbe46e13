//! `fine_tuning.job.*`: fetches the job, its model, the loss curve from its result files, and the lists below it.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::Utc;
use openai_client::{BodyReservation, Client, ErrorKind, FineTuningJob, result_file};
use service::excerpt;
use store::{FineTuningRecord, JobParts, JobRecord, MetricRecord, ModelRecord, ResultPayload};
use webhook::{FetchState, NotificationType};

use crate::context::Context;
use crate::failure::HandlerError;
use crate::handlers::fetch::{self, Found, Wanted};
use crate::handlers::{download, fine_tuning_parts, raw_object};
use crate::job::Job;
use crate::settlement::{Effect, Write};

/// Maximum rows per job, one per step; the files have the rest.
const STEPS_MAX: usize = 1_000_000;

pub(super) async fn handle(context: &Context, job: &Job<'_>, id: &str) -> Result<Write, HandlerError> {
    let call = |client: Client| async move { client.fine_tuning_job(id).await };
    let mut found =
        fetch::object(context, job, Wanted::Always("fine-tuning job"), call, FineTuningJob::parse).await?;
    let status = (found.object.phase(), found.object.status.as_deref());
    let terminal = found.ended(context, job, "fine-tuning job", status).await?;
    found.raw = raw_object::for_column(context, job, id, &found).await?;
    // A job is small, and its files need the body memory.
    drop(std::mem::take(&mut found.reservation));
    let (state, reason) = (found.state, found.reason);
    let (model, metrics, parts) = match fetch::client(context, job)? {
        Some(client) if state == FetchState::Fetched => (
            model(context, job, &client, &found.object).await?,
            metrics(context, job, &client, &found.object).await?,
            fine_tuning_parts::read(job, &client, (id, found.object.status.as_deref())).await?,
        ),
        _ => (None, Vec::new(), JobParts::default()),
    };
    let record = FineTuningRecord { job: record(job, id, found, terminal), model, metrics, parts };
    let kind = NotificationType::FineTuningStored;
    let completion = context.outbox.completion(job, kind, reason, || ResultPayload::of_fine_tuning(&record));
    let effect = Effect::FineTuning(Box::new(record));
    Ok(Write { effect, completion, fetch_state: Some(state), reservation: BodyReservation::default() })
}

/// `GET /models/{id}`: a new model may not be readable yet, and may have been deleted since.
async fn model(
    context: &Context,
    job: &Job<'_>,
    client: &Client,
    tuned: &FineTuningJob,
) -> Result<Option<ModelRecord>, HandlerError> {
    let Some(model_id) = &tuned.fine_tuned_model else {
        return Ok(None);
    };
    let fetched = match client.model(model_id).await {
        Ok(fetched) => fetched,
        Err(error) => {
            fetch::unfetched_for_good(context, job, "model", error)?;
            return Ok(None);
        }
    };
    if let Some(found) = fetched.object.id.as_deref().filter(|found| found != model_id) {
        tracing::warn!(
            object.id = excerpt(job.object_id().unwrap_or_default()).as_ref(),
            found = excerpt(found).as_ref(),
            "OpenAI returned a different model for the job; the job is stored without its model"
        );
        return Ok(None);
    }
    Ok(Some(ModelRecord {
        project: job.entry.project.clone(),
        model_id: model_id.clone(),
        job_id: tuned.id.clone(),
        base_model: tuned.base_model.clone(),
        owned_by: fetched.object.owned_by,
        created_at: fetched.object.created_at,
        fetched_at: Some(Utc::now()),
        raw: Some(fetched.raw.into()),
    }))
}

/// Stores every result file unchanged, and parses the steps of those that are metrics tables. For a step in several
/// files, the last values win.
async fn metrics(
    context: &Context,
    job: &Job<'_>,
    client: &Client,
    tuned: &FineTuningJob,
) -> Result<Vec<MetricRecord>, HandlerError> {
    let mut steps = BTreeMap::new();
    for file_id in &tuned.result_files {
        let content = match download::store_small(context, job, client, file_id).await {
            Ok(content) => content,
            // Its owner may have deleted it; then the job is stored without its curve.
            Err(HandlerError::Api { source, .. }) if source.kind() == ErrorKind::NotFound => {
                fetch::unfetched_for_good(context, job, "result file", source)?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let problem = match content {
            None => Some("too large for a metrics table".to_owned()),
            Some(content) => read_steps(&content.bytes, &mut steps).err(),
        };
        if let Some(problem) = problem {
            tracing::warn!(
                object.id = excerpt(job.object_id().unwrap_or_default()).as_ref(),
                file.id = excerpt(file_id).as_ref(),
                "the result file is {problem}; it is only stored as a file"
            );
        }
    }
    Ok(steps.into_values().collect())
}

fn read_steps(content: &[u8], steps: &mut BTreeMap<i64, MetricRecord>) -> Result<(), String> {
    let metrics = result_file::parse(content).map_err(|error| format!("not a metrics table ({error})"))?;
    for metric in metrics {
        if steps.len() >= STEPS_MAX && !steps.contains_key(&metric.step) {
            return Err(format!("truncated at step {}: a job has at most {STEPS_MAX} steps", metric.step));
        }
        let before = steps.get(&metric.step).copied();
        let known = |value: fn(&MetricRecord) -> Option<f64>| before.as_ref().and_then(value);
        let record = MetricRecord {
            step: metric.step,
            train_loss: metric.train_loss.or(known(|before| before.train_loss)),
            train_accuracy: metric.train_accuracy.or(known(|before| before.train_accuracy)),
            valid_loss: metric.valid_loss.or(known(|before| before.valid_loss)),
            valid_accuracy: metric.valid_accuracy.or(known(|before| before.valid_accuracy)),
        };
        steps.insert(record.step, record);
    }
    Ok(())
}

fn record(job: &Job<'_>, id: &str, found: Found<FineTuningJob>, terminal: bool) -> JobRecord {
    let Found { object, raw, state, fetched_at, .. } = found;
    JobRecord {
        project: job.entry.project.clone(),
        job_id: id.to_owned(),
        terminal,
        status: object.status,
        base_model: object.base_model,
        fine_tuned_model: object.fine_tuned_model,
        trained_tokens: object.trained_tokens,
        error: object.error,
        hyperparameters: object.hyperparameters,
        result_files: serde_json::to_string(&object.result_files).ok(),
        created_at: object.created_at,
        finished_at: object.finished_at,
        received_at: job.received_at(),
        fetch_state: state.into(),
        fetched_at,
        raw: raw.map(|raw: Bytes| raw.into()),
    }
}
