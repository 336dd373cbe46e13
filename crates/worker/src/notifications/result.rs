//! What a `full` notification carries: the rows of an object as `landfall show --json` prints them, without the raw
//! answer they were made of.

use serde::Serialize;
use serde_json::Value;
use store::{BatchRecord, FineTuningRecord, ResultFilter, Store, StoreError};

/// Results of a batch read at a time.
const PAGE: u32 = 200;

/// A result, and whether it is the whole of it: of one that is too large for any notification, not all is read.
#[derive(Debug, Clone, Default)]
pub(crate) struct TheResult {
    pub(crate) value: Option<Value>,
    pub(crate) is_whole: bool,
}

impl TheResult {
    /// An object's row.
    pub(crate) fn of_row(row: &impl Serialize) -> Self {
        // Whatever no JSON value holds is text in these rows already.
        let mut value = serde_json::to_value(row).ok();
        if let Some(Value::Object(fields)) = &mut value {
            fields.remove("raw");
        }
        Self { value, is_whole: true }
    }

    /// A job, with its model and metrics.
    pub(crate) fn of_fine_tuning(record: &FineTuningRecord) -> Self {
        let mut result = Self::of_row(&record.job);
        if let Some(Value::Object(fields)) = &mut result.value {
            let model = record.model.as_ref().and_then(|model| Self::of_row(model).value);
            fields.insert("model_details".to_owned(), model.into());
            fields.insert("metrics".to_owned(), serde_json::to_value(&record.metrics).unwrap_or_default());
        }
        result
    }

    /// A batch, with the lines of its files as long as they fit.
    pub(crate) async fn of_batch(
        store: &Store,
        batch: &BatchRecord,
        bytes_max: u64,
    ) -> Result<Self, StoreError> {
        let mut result = Self::of_row(batch);
        let (mut lines, mut bytes) = (Vec::new(), 0);
        let mut filter = ResultFilter::of(&batch.project, &batch.batch_id, PAGE);
        loop {
            let page = store.batch_results(&filter).await?;
            filter.after = page.last().map(|last| (last.source, last.line));
            let is_last = u32::try_from(page.len()).is_ok_and(|rows| rows < PAGE);
            for row in page {
                let mut line = serde_json::to_value(&row).unwrap_or_default();
                if let Value::Object(fields) = &mut line {
                    fields.remove("project");
                    fields.remove("batch_id");
                }
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

    /// An event's body: what a call or an unknown event brings is in it.
    pub(crate) fn of_body(body: &[u8]) -> Self {
        let value = serde_json::from_slice(body).ok();
        let value = value.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned().into());
        Self { value: Some(value), is_whole: true }
    }
}
