//! The lists below a fine-tuning job: the checkpoints of a job that succeeded, and the events of one that failed, which
//! say why. What cannot be read is left out, with its state.

use openai_client::{ApiError, Client, Fetched, FineTuningCheckpoint, FineTuningEvent, Page};
use service::excerpt;
use store::{CheckpointRecord, JobEventRecord, JobParts, PartState};

use crate::failure::HandlerError;
use crate::handlers::part;
use crate::job::Job;

/// A job has a checkpoint per epoch, and an event per step. Of longer lists the newest are read: a job fails at its end.
const ELEMENTS_MAX: usize = 1000;
/// For pages that are not full.
const PAGES_MAX: usize = 20;

/// Reads the lists that the job's status asks for.
pub(super) async fn read(
    job: &Job<'_>,
    client: &Client,
    (job_id, status): (&str, Option<&str>),
) -> Result<JobParts, HandlerError> {
    let mut parts = JobParts::default();
    match status {
        Some("succeeded") => {
            let page = |after: Option<String>| async move {
                client.fine_tuning_checkpoints(job_id, after.as_deref()).await
            };
            let (state, checkpoints) = list(job, "checkpoints of the job", page).await?;
            parts.checkpoints_state = Some(state.into());
            parts.checkpoints = checkpoints.into_iter().map(checkpoint_record).collect();
        }
        Some("failed") => {
            let page = |after: Option<String>| async move {
                client.fine_tuning_events(job_id, after.as_deref()).await
            };
            let (state, events) = list(job, "events of the job", page).await?;
            parts.events_state = Some(state.into());
            parts.events = events.into_iter().map(event_record).collect();
        }
        _ => {}
    }
    Ok(parts)
}

/// Reads a list page by page. What was read before an error that is final is kept.
async fn list<T, F>(
    job: &Job<'_>,
    what: &'static str,
    page: impl Fn(Option<String>) -> F,
) -> Result<(PartState, Vec<T>), HandlerError>
where
    F: Future<Output = Result<Fetched<Page<T>>, ApiError>>,
{
    let (mut elements, mut after) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        job.progress.step();
        let read = match page(after.take()).await {
            Ok(fetched) => fetched.object,
            Err(source) => {
                let state = part::left_out(job, HandlerError::Api { what, source })?;
                return Ok((state, elements));
            }
        };
        elements.extend(read.elements);
        if !read.has_more {
            return Ok((PartState::Fetched, elements));
        }
        after = read.last_id;
        if elements.len() >= ELEMENTS_MAX || after.is_none() {
            break;
        }
    }
    tracing::warn!(
        object.id = excerpt(job.object_id().unwrap_or_default()).as_ref(),
        elements = elements.len(),
        "there are more {what} than are read; the newest are stored"
    );
    Ok((PartState::Truncated, elements))
}

fn checkpoint_record(checkpoint: FineTuningCheckpoint) -> CheckpointRecord {
    CheckpointRecord {
        checkpoint_id: checkpoint.id,
        step_number: checkpoint.step_number,
        fine_tuned_model_checkpoint: checkpoint.fine_tuned_model_checkpoint,
        metrics: checkpoint.metrics,
        created_at: checkpoint.created_at,
    }
}

fn event_record(event: FineTuningEvent) -> JobEventRecord {
    JobEventRecord {
        event_id: event.id,
        created_at: event.created_at,
        level: event.level,
        kind: event.kind,
        message: event.message,
        data: event.data,
    }
}
