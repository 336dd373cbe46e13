//! The fine-tuning job object. `result_file.rs` parses its result files.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use crate::client::{Client, Fetched, Get, segment};
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::lenient::{each_element, error_text, fields, inner, integer, object_text, text, text_of, time};
use crate::phase::Phase;

const JOB_BYTES_MAX: usize = 1 << 20;

/// A job that trains a model from another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FineTuningJob {
    pub id: Option<String>,
    pub status: Option<String>,
    pub base_model: Option<String>,
    pub fine_tuned_model: Option<String>,
    pub trained_tokens: Option<i64>,
    /// JSON text.
    pub error: Option<String>,
    /// JSON text.
    pub hyperparameters: Option<String>,
    /// File ids without duplicates. Currently one; the number is limited only by the size of the object.
    pub result_files: Vec<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl Client {
    /// `GET /fine_tuning/jobs/{id}`.
    pub async fn fine_tuning_job(&self, id: &str) -> Result<Fetched<FineTuningJob>, ApiError> {
        let get =
            Get::new(Endpoint::FineTuningJobs, format!("/fine_tuning/jobs/{}", segment(id)?), JOB_BYTES_MAX);
        self.get_object(get, id, FineTuningJob::parse, |job| job.id.as_deref()).await
    }
}

impl FineTuningJob {
    /// Parses the object as returned by the API, or as embedded in an event by some senders.
    pub fn parse(raw: &[u8]) -> Result<Self, serde_json::Error> {
        let json = text_of(raw);
        let [id, status, model, fine_tuned_model, trained_tokens, error] =
            fields(&json, ["id", "status", "model", "fine_tuned_model", "trained_tokens", "error"])?;
        let [top_level, method, result_files, created_at, finished_at] =
            fields(&json, ["hyperparameters", "method", "result_files", "created_at", "finished_at"])?;
        let (mut files, mut seen) = (Vec::new(), HashSet::new());
        each_element(result_files, |id| files.extend(text(Some(id)).filter(|id| seen.insert(id.clone()))));
        Ok(Self {
            id: text(id),
            status: text(status),
            base_model: text(model),
            fine_tuned_model: text(fine_tuned_model),
            trained_tokens: integer(trained_tokens),
            error: error_text(error),
            hyperparameters: object_text(top_level.or_else(|| hyperparameters(method))),
            result_files: files,
            created_at: time(created_at),
            finished_at: time(finished_at),
        })
    }

    /// The phase of the job. A paused job has not ended.
    pub fn phase(&self) -> Phase {
        match self.status.as_deref() {
            Some("succeeded" | "failed" | "cancelled" | "canceled") => Phase::Ended,
            Some("validating_files" | "queued" | "running" | "paused") => Phase::Running,
            _ => Phase::Unknown,
        }
    }
}

/// Newer jobs have them below the method, by its type.
fn hyperparameters(method: Option<&RawValue>) -> Option<&RawValue> {
    let methods = inner(method, ["supervised", "dpo", "reinforcement"]);
    methods.into_iter().find_map(|method| {
        let [hyperparameters] = inner(method, ["hyperparameters"]);
        hyperparameters
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> FineTuningJob {
        FineTuningJob::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn a_job_with_a_model_is_parsed() {
        let job = parse(
            r#"{"object":"fine_tuning.job","id":"ftjob-1","model":"gpt-6-luna","created_at":1750861210,
            "finished_at":1750864810,"fine_tuned_model":"ft:gpt-6-luna:acme:support:1",
            "organization_id":"org-1","result_files":["file-1","",null,7,"file-2"],"status":"succeeded",
            "validation_file":null,"training_file":"file-0","trained_tokens":5768,"seed":1,"estimated_finish":0,
            "hyperparameters":{"n_epochs":3,"batch_size":"auto"},
            "error":{"code":null,"message":null,"param":null}}"#,
        );
        assert!(job.phase() == Phase::Ended);
        assert_eq!(job.base_model.as_deref(), Some("gpt-6-luna"));
        assert_eq!(job.fine_tuned_model.as_deref(), Some("ft:gpt-6-luna:acme:support:1"));
        assert_eq!((job.trained_tokens, job.error), (Some(5768), None));
        assert_eq!(job.hyperparameters.as_deref(), Some(r#"{"n_epochs":3,"batch_size":"auto"}"#));
        assert_eq!(job.result_files, ["file-1", "file-2"]);
        assert_eq!(job.finished_at.unwrap().timestamp(), 1_750_864_810);
    }

    #[test]
    fn hyperparameters_may_be_below_the_method() {
        let job = parse(
            r#"{"hyperparameters":null,"method":{"type":"dpo","supervised":null,"dpo":{"hyperparameters":{"beta":0.1}}}}"#,
        );
        assert_eq!(job.hyperparameters.as_deref(), Some(r#"{"beta":0.1}"#));
        assert_eq!(parse(r#"{"method":{"type":"dpo"}}"#).hyperparameters, None);
    }

    #[test]
    fn a_failed_job_has_an_error_and_a_paused_one_has_not_ended() {
        let failed =
            parse(r#"{"status":"failed","error":{"code":"invalid_file","message":"m","param":"x"}}"#);
        assert!(failed.phase() == Phase::Ended && failed.error.unwrap().contains("invalid_file"));
        for status in ["validating_files", "queued", "running", "paused"] {
            assert!(parse(&format!(r#"{{"status":"{status}"}}"#)).phase() != Phase::Ended, "{status}");
        }
    }

    #[test]
    fn malformed_fields_are_none() {
        let job = parse(
            r#"{"id":"ftjob-1","result_files":"file-1","trained_tokens":1e400000,"fine_tuned_model":""}"#,
        );
        assert_eq!((job.trained_tokens, job.fine_tuned_model), (None, None));
        assert!(job.result_files.is_empty());
    }

    #[test]
    fn every_result_file_is_listed_once() {
        let names: Vec<String> = (0..5000).map(|n| format!("\"file-{n}\"")).collect();
        let many = format!(r#"{{"result_files":[{0},{0}]}}"#, names.join(","));
        let files = parse(&many).result_files;
        assert_eq!((files.len(), files[4999].as_str()), (5000, "file-4999"));
    }
}
