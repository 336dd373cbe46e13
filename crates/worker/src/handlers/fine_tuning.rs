//! `fine_tuning.job.*`: the job, the model it made, and the loss curve out of its result files.

use bytes::Bytes;
use chrono::Utc;
use openai_client::{Client, ErrorKind, FineTuningJob, result_file};
use store::{FineTuningRecord, JobRecord, MetricRecord, ModelRecord, TheResult};
use webhook::{FetchState, NotificationType};

use crate::context::Context;
use crate::handlers::fetch::{self, Found};
use crate::handlers::{HandlerError, Outcome, download, kept, raw_object};
use crate::work::Work;

pub(super) async fn handle(context: &Context, work: &Work<'_>) -> Result<Outcome, HandlerError> {
    let Some(id) = work.object_id() else {
        return kept::handle(context, work).await;
    };
    let call = |client: Client| async move { client.fine_tuning_job(id).await };
    let mut found = fetch::object(context, work, "fine-tuning job", call, FineTuningJob::parse).await?;
    if found.state == FetchState::Fetched && !found.object.is_terminal() {
        return Err(HandlerError::not_terminal("fine-tuning job", found.object.status));
    }
    found.raw = raw_object::keep(context, work, id, &found).await?;
    let (state, reason) = (found.state, found.reason);
    let (model, metrics) = match fetch::client(context, work)? {
        Some(client) if state == FetchState::Fetched => (
            model(context, work, &client, &found.object).await?,
            metrics(context, work, &client, &found.object).await?,
        ),
        _ => (None, Vec::new()),
    };
    let record = FineTuningRecord { job: job(work, id, found), model, metrics };
    let kind = NotificationType::FineTuningStored;
    let completion = context.outbox.completion(work, kind, reason, || TheResult::of_fine_tuning(&record));
    context.store.save_fine_tuning(&record, &completion).await?;
    Ok(Outcome::Stored(state))
}

/// `GET /models/{id}`: a new model may not be readable yet, and may have been deleted since.
async fn model(
    context: &Context,
    work: &Work<'_>,
    client: &Client,
    job: &FineTuningJob,
) -> Result<Option<ModelRecord>, HandlerError> {
    let Some(model_id) = &job.fine_tuned_model else {
        return Ok(None);
    };
    let fetched = match client.model(model_id).await {
        Ok(fetched) => fetched,
        Err(error) => {
            fetch::unfetched_for_good(context, work, "model", error)?;
            return Ok(None);
        }
    };
    Ok(Some(ModelRecord {
        project: work.entry.project.clone(),
        model_id: model_id.clone(),
        job_id: job.id.clone(),
        base_model: job.base_model.clone(),
        owned_by: fetched.object.owned_by,
        created_at: fetched.object.created_at,
        fetched_at: Some(Utc::now()),
        raw: Some(fetched.raw.into()),
    }))
}

/// Keeps every result file byte for byte, and reads the steps out of those that are a table of metrics.
async fn metrics(
    context: &Context,
    work: &Work<'_>,
    client: &Client,
    job: &FineTuningJob,
) -> Result<Vec<MetricRecord>, HandlerError> {
    let mut steps = Vec::new();
    for file_id in &job.result_files {
        let content = match download::keep_small(context, work, client, file_id).await {
            Ok(Some(content)) => content,
            Ok(None) => {
                tracing::warn!(
                    object.id = work.object_id(),
                    file.id = file_id,
                    "the result file is too large for a table of metrics; it is kept as a file"
                );
                continue;
            }
            // Its owner may have deleted it; then the job is stored without its curve.
            Err(HandlerError::Api { source, .. }) if source.kind() == ErrorKind::NotFound => {
                fetch::unfetched_for_good(context, work, "result file", source)?;
                continue;
            }
            Err(error) => return Err(error),
        };
        match result_file::parse(&content) {
            Ok(metrics) => steps.extend(metrics),
            Err(error) => tracing::warn!(
                object.id = work.object_id(),
                file.id = file_id,
                error = %error,
                "the result file is no table of metrics; it is kept as a file"
            ),
        }
    }
    let record = |metric: result_file::Metric| MetricRecord {
        step: metric.step,
        train_loss: metric.train_loss,
        train_accuracy: metric.train_accuracy,
        valid_loss: metric.valid_loss,
        valid_accuracy: metric.valid_accuracy,
    };
    Ok(steps.into_iter().map(record).collect())
}

fn job(work: &Work<'_>, id: &str, found: Found<FineTuningJob>) -> JobRecord {
    let Found { object, raw, state, fetched_at, .. } = found;
    JobRecord {
        project: work.entry.project.clone(),
        job_id: id.to_owned(),
        terminal: object.is_terminal(),
        status: object.status,
        base_model: object.base_model,
        fine_tuned_model: object.fine_tuned_model,
        trained_tokens: object.trained_tokens,
        error: object.error,
        hyperparameters: object.hyperparameters,
        result_files: serde_json::to_string(&object.result_files).ok(),
        created_at: object.created_at,
        finished_at: object.finished_at,
        received_at: work.received_at(),
        fetch_state: state,
        fetched_at,
        raw: raw.map(|raw: Bytes| raw.into()),
    }
}
