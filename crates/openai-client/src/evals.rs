//! Eval runs. A webhook contains only the run id, and no endpoint finds a run by it: so the runs of the most recently
//! updated evals are searched, within limits. OpenAI ended evals on 2026-11-30; other servers with its API, and events from before, are still asked.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use crate::client::{Client, Fetched, Get, segment};
use crate::endpoint::Endpoint;
use crate::error::{ApiError, ErrorKind};
use crate::lenient::{each_element, error_text, fields, inner, integer, text, text_of, time};
use crate::phase::Phase;

/// Number of evals searched, most recently updated first: one page.
const EVALS_MAX: usize = 50;
/// Number of runs searched in each, newest first: one page, the maximum of the API.
const RUNS_MAX: usize = 100;
/// Runs and evals may contain their test data.
const EVALS_BYTES_MAX: usize = 16 << 20;
const RUNS_BYTES_MAX: usize = 32 << 20;
const RUN_BYTES_MAX: usize = 16 << 20;

/// One run of a model over the test data of an eval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalRun {
    pub id: Option<String>,
    pub eval_id: Option<String>,
    pub status: Option<String>,
    pub total: Option<i64>,
    pub passed: Option<i64>,
    pub failed: Option<i64>,
    pub errored: Option<i64>,
    pub report_url: Option<String>,
    /// JSON text.
    pub error: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub model: Option<String>,
    pub name: Option<String>,
}

impl Client {
    /// Searches the newest runs of the most recently updated evals, then requests `GET /evals/{eval_id}/runs/{run_id}`.
    /// At most 52 requests. `None` if the run is not among them.
    ///
    /// # Errors
    /// [`ApiError`] if the search failed.
    pub async fn find_eval_run(&self, run_id: &str) -> Result<Option<Fetched<EvalRun>>, ApiError> {
        // Do not search for an unusable id.
        let run = segment(run_id)?;
        for eval_id in self.recent_evals().await? {
            let Ok(eval) = segment(&eval_id) else { continue };
            // An eval may be deleted between two requests.
            let Some(true) = present(self.has_recent_run(&eval, run_id).await)? else { continue };
            let get = Get::new(Endpoint::EvalRuns, format!("/evals/{eval}/runs/{run}"), RUN_BYTES_MAX);
            return present(self.get_object(get, run_id, EvalRun::parse, |run| run.id.as_deref()).await);
        }
        Ok(None)
    }

    async fn recent_evals(&self) -> Result<Vec<String>, ApiError> {
        let get = Get::new(
            Endpoint::Evals,
            format!("/evals?order_by=updated_at&order=desc&limit={EVALS_MAX}"),
            EVALS_BYTES_MAX,
        );
        let list = self.get(get, |raw| {
            let mut ids = Vec::new();
            each_listed_id(raw, |id| ids.extend(text(id)))?;
            ids.truncate(EVALS_MAX);
            Ok(ids)
        });
        Ok(list.await?.object)
    }

    async fn has_recent_run(&self, eval: &str, run_id: &str) -> Result<bool, ApiError> {
        let get = Get::new(
            Endpoint::EvalRuns,
            format!("/evals/{eval}/runs?order=desc&limit={RUNS_MAX}"),
            RUNS_BYTES_MAX,
        );
        let list = self.get(get, |raw| {
            let mut found = false;
            each_listed_id(raw, |id| found |= text(id).as_deref() == Some(run_id))?;
            Ok(found)
        });
        Ok(list.await?.object)
    }
}

impl EvalRun {
    /// Parses the object as returned by the API, or as embedded in an event by some senders.
    pub fn parse(raw: &[u8]) -> Result<Self, serde_json::Error> {
        let json = text_of(raw);
        let [id, eval_id, status, counts, report_url, error, created_at, model, name] = fields(
            &json,
            [
                "id",
                "eval_id",
                "status",
                "result_counts",
                "report_url",
                "error",
                "created_at",
                "model",
                "name",
            ],
        )?;
        let [total, passed, failed, errored] = inner(counts, ["total", "passed", "failed", "errored"]);
        Ok(Self {
            id: text(id),
            eval_id: text(eval_id),
            status: text(status),
            total: integer(total),
            passed: integer(passed),
            failed: integer(failed),
            errored: integer(errored),
            report_url: text(report_url),
            error: error_text(error),
            created_at: time(created_at),
            model: text(model),
            name: text(name),
        })
    }

    /// The phase of the run. The event is called `succeeded`, the status `completed`.
    pub fn phase(&self) -> Phase {
        match self.status.as_deref() {
            Some("completed" | "failed" | "canceled" | "cancelled") => Phase::Ended,
            Some("queued" | "in_progress") => Phase::Running,
            _ => Phase::Unknown,
        }
    }
}

/// Calls `take` with the id of each object of a list.
fn each_listed_id(raw: &[u8], mut take: impl FnMut(Option<&RawValue>)) -> Result<(), serde_json::Error> {
    let json = text_of(raw);
    let [data] = fields(&json, ["data"])?;
    each_element(data, |object| {
        let [id] = inner(Some(object), ["id"]);
        take(id);
    });
    Ok(())
}

/// Maps "not found" to `None`.
fn present<T>(found: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match found {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> EvalRun {
        EvalRun::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn reads_a_run() {
        let run = parse(
            r#"{"object":"eval.run","id":"evalrun_1","eval_id":"eval_1","status":"completed","model":"gpt-6-luna",
            "name":"nightly","created_at":1750861210,"report_url":"https://platform.openai.com/evaluations/eval_1",
            "result_counts":{"total":10,"errored":1,"failed":2,"passed":7},"per_model_usage":null,"error":null}"#,
        );
        assert!(run.phase() == Phase::Ended);
        assert_eq!((run.total, run.passed, run.failed, run.errored), (Some(10), Some(7), Some(2), Some(1)));
        assert_eq!((run.eval_id.as_deref(), run.name.as_deref()), (Some("eval_1"), Some("nightly")));
        assert_eq!(run.error, None);
    }

    #[test]
    fn both_spellings_of_canceled_are_ended() {
        for (status, ended) in
            [("canceled", true), ("cancelled", true), ("queued", false), ("in_progress", false)]
        {
            assert_eq!(
                (parse(&format!(r#"{{"status":"{status}"}}"#)).phase() == Phase::Ended),
                ended,
                "{status}"
            );
        }
    }

    #[test]
    fn malformed_fields_are_none() {
        let run =
            parse(r#"{"id":"evalrun_1","result_counts":null,"error":{"code":"","message":"m"},"name":7}"#);
        assert_eq!((run.total, run.name), (None, None));
        assert!(run.error.is_some());
    }
}
