//! The payload of a `full` notification: the rows of an object as `landfall show --json` prints them, without the raw
//! API response they were built from.

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _, try_unfold};
use serde::Serialize;
use serde_json::Value;
use webhook::{EventKind, EventState, NotificationType};

use crate::agent_session::{AgentSessionRecord, AgentTurnRecord};
use crate::batch::{BatchRecord, ResultFilter, ResultRow};
use crate::error::StoreError;
use crate::event::EventRecord;
use crate::fine_tuning::{FineTuningRecord, JobRecord};
use crate::found::Found;
use crate::response::ResponseRecord;
use crate::response_file::ResponseFile;
use crate::store::Store;

/// Batch results read per query.
const PAGE: u32 = 200;

/// Turns of an agent session, the newest ones.
const TURNS_MAX: u32 = 100;

/// A result, and whether it is complete. A result that exceeds the size limit is not read to its end.
#[derive(Debug, Clone, Default)]
pub struct ResultPayload {
    pub value: Option<Value>,
    /// False if parts were left out.
    pub is_whole: bool,
}

impl ResultPayload {
    /// An object's row.
    pub fn of_row(row: &impl Serialize) -> Self {
        // These rows already hold text wherever a JSON value is not possible.
        let mut value = serde_json::to_value(row).ok();
        if let Some(Value::Object(fields)) = &mut value {
            fields.remove("raw");
        }
        Self { value, is_whole: true }
    }

    /// A response, with the states of its files if it has any.
    pub fn of_response(response: &ResponseRecord, files: &[ResponseFile]) -> Self {
        let mut result = Self::of_row(response);
        if let Some(Value::Object(fields)) = &mut result.value
            && !files.is_empty()
        {
            fields.insert("files".to_owned(), files.iter().map(file).collect());
        }
        result
    }

    /// A job with its model and metrics, and the lists below it that were read.
    pub fn of_fine_tuning(record: &FineTuningRecord) -> Self {
        let mut result = Self::of_row(&record.job);
        if let Some(Value::Object(fields)) = &mut result.value {
            let model = record.model.as_ref().and_then(|model| Self::of_row(model).value);
            fields.insert("model_details".to_owned(), model.into());
            fields.insert("metrics".to_owned(), serde_json::to_value(&record.metrics).unwrap_or_default());
            if let Ok(Value::Object(parts)) = serde_json::to_value(&record.parts) {
                fields.extend(parts);
            }
        }
        result
    }

    /// A session with turns, newest first.
    pub fn of_agent(session: &AgentSessionRecord, turns: &[AgentTurnRecord]) -> Self {
        let mut result = Self::of_row(session);
        if let Some(Value::Object(fields)) = &mut result.value {
            let turns: Vec<Value> = turns.iter().filter_map(|turn| Self::of_row(turn).value).collect();
            fields.insert("turns".to_owned(), turns.into());
        }
        result
    }

    /// A batch with the lines of its files, if they fit.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn of_batch(store: &Store, batch: &BatchRecord, bytes_max: u64) -> Result<Self, StoreError> {
        let mut result = Self::of_row(batch);
        let (mut lines, mut bytes) = (Vec::new(), 0);
        let mut filter = ResultFilter::of(&batch.project, &batch.batch_id, PAGE);
        loop {
            let page = store.batch_results(&filter).await?;
            filter.after = page.last().map(|last| (last.source, last.line));
            let is_last = u32::try_from(page.len()).is_ok_and(|rows| rows < PAGE);
            for row in page {
                let line = line(&row);
                bytes += line.to_string().len() as u64;
                lines.push(line);
            }
            if bytes > bytes_max {
                result.is_whole = false;
                return Ok(result);
            }
            if is_last {
                break;
            }
        }
        if let Some(Value::Object(fields)) = &mut result.value {
            fields.insert("results".to_owned(), lines.into());
        }
        Ok(result)
    }

    /// A batch of any size, streamed as the text of one JSON object.
    pub fn stream_batch(
        store: Store,
        batch: &BatchRecord,
    ) -> impl Stream<Item = Result<Bytes, StoreError>> + use<> {
        let row = Self::of_row(batch).value.unwrap_or_default().to_string();
        let head = format!("{},\"results\":[", row.strip_suffix('}').unwrap_or(&row));
        let filter = ResultFilter::of(&batch.project, &batch.batch_id, PAGE);
        let rows = try_unfold(Some((filter, true)), move |state| {
            let store = store.clone();
            async move {
                let Some((mut filter, is_first)) = state else { return Ok(None) };
                let page = store.batch_results(&filter).await?;
                filter.after = page.last().map(|last| (last.source, last.line));
                let is_last = u32::try_from(page.len()).is_ok_and(|rows| rows < PAGE);
                let lines: Vec<String> = page.iter().map(|row| line(row).to_string()).collect();
                let comma = if is_first || lines.is_empty() { "" } else { "," };
                let end = if is_last { "]}" } else { "" };
                let piece = Bytes::from(format!("{comma}{}{end}", lines.join(",")));
                Ok(Some((piece, (!is_last).then_some((filter, false)))))
            }
        });
        stream::once(std::future::ready(Ok(Bytes::from(head)))).chain(rows)
    }

    /// An event's body: the payload for calls and unknown events.
    pub fn of_body(body: &[u8]) -> Self {
        let value = serde_json::from_slice(body).ok();
        let value = value.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned().into());
        Self { value: Some(value), is_whole: true }
    }

    /// An object of a project as stored now; `None` if `found` is not such an object.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn of_found(
        store: &Store,
        project: &str,
        found: &Found,
        bytes_max: u64,
    ) -> Result<Option<(NotificationType, Self)>, StoreError> {
        Ok(Some(match found {
            Found::Response(row) if row.project == project => {
                let files = store.response_files(project, &row.response_id).await?;
                (NotificationType::ResponseStored, Self::of_response(row, &files))
            }
            Found::Batch(row) if row.batch.project == project => {
                (NotificationType::BatchStored, Self::of_batch(store, &row.batch, bytes_max).await?)
            }
            Found::FineTuningJob(job) if job.project == project => {
                let record = fine_tuning(store, job).await?;
                (NotificationType::FineTuningStored, Self::of_fine_tuning(&record))
            }
            Found::EvalRun(row) if row.project == project => {
                (NotificationType::EvalStored, Self::of_row(row))
            }
            Found::SafetyAlert(row) if row.project == project => {
                (NotificationType::SafetyStored, Self::of_row(row))
            }
            Found::AgentSession(row) if row.project == project => {
                let turns = store.agent_turns(project, &row.session_id, TURNS_MAX).await?;
                (NotificationType::AgentStored, Self::of_agent(row, &turns))
            }
            Found::Event(row) if row.project == project => {
                (NotificationType::EventReceived, Self::of_body(&row.body))
            }
            _ => return Ok(None),
        }))
    }

    /// The payload of a stored or dead event and the type of its notification, for readers other than the worker.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn of_event(
        store: &Store,
        event: &EventRecord,
        bytes_max: u64,
    ) -> Result<(NotificationType, Self), StoreError> {
        if event.state == EventState::Dead {
            return Ok((NotificationType::EventDead, Self::of_body(&event.body)));
        }
        let has_object = EventKind::from_name(&event.event_type).has_object();
        let found = match event.object_id.as_deref().filter(|_| has_object) {
            Some(id) => store.find(id).await?,
            None => Vec::new(),
        };
        for found in &found {
            if let Some(result) = Self::of_found(store, &event.project, found, bytes_max).await? {
                return Ok(result);
            }
        }
        Ok((NotificationType::EventReceived, Self::of_body(&event.body)))
    }
}

/// A file of a response, without the columns that are the same for all of them.
fn file(file: &ResponseFile) -> Value {
    let mut value = serde_json::to_value(file).unwrap_or_default();
    if let Value::Object(fields) = &mut value {
        for name in ["project", "response_id", "first_attempt_at"] {
            fields.remove(name);
        }
    }
    value
}

/// A row of a batch's results, without the columns that are the same in all rows.
fn line(row: &ResultRow) -> Value {
    let mut line = serde_json::to_value(row).unwrap_or_default();
    if let Value::Object(fields) = &mut line {
        fields.remove("project");
        fields.remove("batch_id");
    }
    line
}

async fn fine_tuning(store: &Store, job: &JobRecord) -> Result<FineTuningRecord, StoreError> {
    let found = match &job.fine_tuned_model {
        Some(model_id) => store.find(model_id).await?,
        None => Vec::new(),
    };
    let model = found.into_iter().find_map(|found| match found {
        Found::Model(model) if model.project == job.project => Some(model),
        _ => None,
    });
    let metrics = store.fine_tuning_metrics(&job.project, &job.job_id).await?;
    let parts = store.fine_tuning_parts(&job.project, &job.job_id).await?;
    Ok(FineTuningRecord { job: job.clone(), model, metrics, parts })
}
