//! The lists below a fine-tuning job: its checkpoints and its events.

use chrono::{DateTime, Utc};

use crate::client::{Client, Fetched, Get, segment};
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::lenient::{fields, integer, object_text, text, time};
use crate::page::Page;

/// The most that the API returns at once.
const PAGE_LENGTH: usize = 100;
/// Messages and metrics are short.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// The model of a job as it was at one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FineTuningCheckpoint {
    pub id: String,
    pub step_number: Option<i64>,
    pub fine_tuned_model_checkpoint: Option<String>,
    /// JSON text.
    pub metrics: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
}

/// What OpenAI reported while a job ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FineTuningEvent {
    pub id: String,
    pub level: Option<String>,
    pub message: Option<String>,
    /// `message` or `metrics`.
    pub kind: Option<String>,
    /// JSON text.
    pub data: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
}

impl Client {
    /// One page of `GET /fine_tuning/jobs/{id}/checkpoints`, newest first; the first one without `after`.
    pub async fn fine_tuning_checkpoints(
        &self,
        job_id: &str,
        after: Option<&str>,
    ) -> Result<Fetched<Page<FineTuningCheckpoint>>, ApiError> {
        let path = page_path(job_id, "checkpoints", after)?;
        let get = Get::new(Endpoint::FineTuningCheckpoints, path, PAGE_BYTES_MAX);
        self.get(get, |raw| page(raw, checkpoint, |checkpoint| &checkpoint.id)).await
    }

    /// One page of `GET /fine_tuning/jobs/{id}/events`, newest first; the first one without `after`.
    pub async fn fine_tuning_events(
        &self,
        job_id: &str,
        after: Option<&str>,
    ) -> Result<Fetched<Page<FineTuningEvent>>, ApiError> {
        let path = page_path(job_id, "events", after)?;
        let get = Get::new(Endpoint::FineTuningEvents, path, PAGE_BYTES_MAX);
        self.get(get, |raw| page(raw, event, |event| &event.id)).await
    }
}

fn page_path(job_id: &str, list: &str, after: Option<&str>) -> Result<String, ApiError> {
    let path = format!("/fine_tuning/jobs/{}/{list}?limit={PAGE_LENGTH}", segment(job_id)?);
    Ok(match after {
        Some(after) => format!("{path}&after={}", segment(after)?),
        None => path,
    })
}

/// The list of events does not name its last id: the next page follows the last element.
fn page<T>(
    raw: &[u8],
    parse: impl Fn(&str) -> Option<T>,
    id: impl Fn(&T) -> &String,
) -> Result<Page<T>, serde_json::Error> {
    let mut page = Page::parse(raw, PAGE_LENGTH, parse)?;
    page.last_id = page.last_id.or_else(|| page.elements.last().map(|last| id(last).clone()));
    Ok(page)
}

/// `None` if it has no id.
fn checkpoint(json: &str) -> Option<FineTuningCheckpoint> {
    let [id, step_number, model, metrics, created_at] =
        fields(json, ["id", "step_number", "fine_tuned_model_checkpoint", "metrics", "created_at"]).ok()?;
    Some(FineTuningCheckpoint {
        id: text(id)?,
        step_number: integer(step_number),
        fine_tuned_model_checkpoint: text(model),
        metrics: object_text(metrics),
        created_at: time(created_at),
    })
}

/// `None` if it has no id.
fn event(json: &str) -> Option<FineTuningEvent> {
    let [id, level, message, kind, data, created_at] =
        fields(json, ["id", "level", "message", "type", "data", "created_at"]).ok()?;
    Some(FineTuningEvent {
        id: text(id)?,
        level: text(level),
        message: text(message),
        kind: text(kind),
        // Most messages have an empty one.
        data: object_text(data).filter(|data| data != "{}"),
        created_at: time(created_at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_needs_only_an_id() {
        let whole = checkpoint(
            r#"{"object":"fine_tuning.job.checkpoint","id":"ftckpt_1","created_at":1795305600,"step_number":20,
            "fine_tuned_model_checkpoint":"ft:m:acme::1:ckpt-step-20","fine_tuning_job_id":"ftjob-1",
            "metrics":{"step":20,"full_valid_loss":0.5}}"#,
        );
        let whole = whole.unwrap();
        assert_eq!((whole.step_number, whole.metrics.unwrap().len()), (Some(20), 33));
        assert_eq!(whole.fine_tuned_model_checkpoint.as_deref(), Some("ft:m:acme::1:ckpt-step-20"));
        let odd =
            checkpoint(r#"{"id":"ftckpt_1","step_number":"many","metrics":[1],"created_at":-1}"#).unwrap();
        assert_eq!((odd.step_number, odd.metrics, odd.created_at), (None, None, None));
        assert_eq!(checkpoint(r#"{"step_number":1}"#), None);
    }

    #[test]
    fn an_event_needs_only_an_id_and_the_last_one_is_the_cursor() {
        let json = br#"{"object":"list","has_more":true,"data":[
            {"id":"ftevent-2","level":"error","type":"message","message":"The file is\u0000 invalid.","data":{}},
            {"level":"info"},{"id":"ftevent-1","level":7,"type":"metrics","data":{"step":1}}]}"#;
        let page = page(json, event, |event| &event.id).unwrap();
        let [newest, oldest] = page.elements.as_slice() else { panic!("{page:?}") };
        assert_eq!(newest.message.as_deref(), Some("The file is\u{fffd} invalid."));
        assert_eq!((&newest.data, newest.level.as_deref()), (&None, Some("error")));
        assert_eq!((oldest.data.as_deref(), &oldest.level), (Some(r#"{"step":1}"#), &None));
        assert_eq!((page.has_more, page.last_id.as_deref()), (true, Some("ftevent-1")));
    }

    #[test]
    fn the_cursor_of_a_page_is_escaped() {
        let path = page_path("ftjob-1", "events", Some("a&limit=1")).unwrap();
        assert_eq!(path, "/fine_tuning/jobs/ftjob-1/events?limit=100&after=a%26limit%3D1");
    }
}
