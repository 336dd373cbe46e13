//! The batch object. Its files are parsed line by line, see `batch_line.rs`.

use chrono::{DateTime, Utc};

use crate::client::{Client, Fetched, Get, segment};
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::lenient::{error_text, fields, inner, integer, object_text, text, text_of, time};
use crate::phase::Phase;

/// Large enough for validation errors of many lines.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// Many requests in one file, with the results in another. A completed batch has no output file if every request
/// failed; an expired or cancelled one may have both files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub id: Option<String>,
    pub status: Option<String>,
    /// The endpoint of the requests, such as `/v1/responses`.
    pub endpoint: Option<String>,
    pub model: Option<String>,
    pub requests_total: Option<i64>,
    pub requests_completed: Option<i64>,
    pub requests_failed: Option<i64>,
    /// JSON text.
    pub usage: Option<String>,
    /// JSON text: why the input file was rejected.
    pub errors: Option<String>,
    /// JSON text.
    pub metadata: Option<String>,
    pub input_file_id: Option<String>,
    pub output_file_id: Option<String>,
    pub error_file_id: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    /// When the batch reached its final state, successful or not.
    pub completed_at: Option<DateTime<Utc>>,
}

impl Client {
    /// `GET /batches/{id}`.
    pub async fn batch(&self, id: &str) -> Result<Fetched<Batch>, ApiError> {
        let get = Get::new(Endpoint::Batches, format!("/batches/{}", segment(id)?), BATCH_BYTES_MAX);
        self.get_object(get, id, Batch::parse, |batch| batch.id.as_deref()).await
    }
}

impl Batch {
    /// Parses the object as returned by the API, or as embedded in an event by some senders.
    pub fn parse(raw: &[u8]) -> Result<Self, serde_json::Error> {
        let json = text_of(raw);
        let [id, status, endpoint, model, counts, usage, errors, metadata] = fields(
            &json,
            ["id", "status", "endpoint", "model", "request_counts", "usage", "errors", "metadata"],
        )?;
        let [input_file_id, output_file_id, error_file_id, created_at] =
            fields(&json, ["input_file_id", "output_file_id", "error_file_id", "created_at"])?;
        let [total, completed, failed] = inner(counts, ["total", "completed", "failed"]);
        let status = text(status);
        let completed_at = ended_at(&json, status.as_deref())?;
        Ok(Self {
            id: text(id),
            status,
            endpoint: text(endpoint),
            model: text(model),
            requests_total: integer(total),
            requests_completed: integer(completed),
            requests_failed: integer(failed),
            usage: object_text(usage),
            errors: error_text(errors),
            metadata: object_text(metadata),
            input_file_id: text(input_file_id),
            output_file_id: text(output_file_id),
            error_file_id: text(error_file_id),
            created_at: time(created_at),
            completed_at,
        })
    }

    /// The phase of the batch.
    pub fn phase(&self) -> Phase {
        match self.status.as_deref() {
            Some("completed" | "failed" | "expired" | "cancelled" | "canceled") => Phase::Ended,
            Some("validating" | "in_progress" | "finalizing" | "cancelling") => Phase::Running,
            _ => Phase::Unknown,
        }
    }

    /// Whether the counts refer to results in a file that is not named yet: OpenAI may report that a batch has ended
    /// some seconds before it names the files. A batch that was rejected as a whole has failures and no file.
    pub fn has_unnamed_file(&self) -> bool {
        let any = |count: Option<i64>| count.is_some_and(|count| count > 0);
        (any(self.requests_completed) && self.output_file_id.is_none())
            || (any(self.requests_failed) && self.error_file_id.is_none() && self.errors.is_none())
    }
}

/// The time of the final state that the status names, or else of any final state.
fn ended_at(json: &str, status: Option<&str>) -> Result<Option<DateTime<Utc>>, serde_json::Error> {
    const ENDS: [&str; 4] = ["completed_at", "failed_at", "expired_at", "cancelled_at"];
    let times = fields(json, ENDS)?.map(time);
    let named = ENDS.iter().position(|end| end.strip_suffix("_at") == status);
    Ok(named.and_then(|index| times[index]).or_else(|| times.into_iter().flatten().next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Batch {
        Batch::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn reads_a_completed_batch() {
        let batch = parse(
            r#"{"id":"batch_1","object":"batch","endpoint":"/v1/responses","model":"gpt-5.6-sol","errors":null,
            "input_file_id":"file-in","completion_window":"24h","status":"completed","output_file_id":"file-out",
            "error_file_id":"file-err","created_at":1750861210,"in_progress_at":1750861211,"expires_at":1750947610,
            "finalizing_at":1750861300,"completed_at":1750861310,"failed_at":null,"expired_at":null,
            "cancelling_at":null,"cancelled_at":null,"request_counts":{"total":100,"completed":95,"failed":5},
            "usage":{"input_tokens":1},"metadata":{"run":"7"}}"#,
        );
        assert!(batch.phase() == Phase::Ended);
        assert_eq!(
            (batch.requests_total, batch.requests_completed, batch.requests_failed),
            (Some(100), Some(95), Some(5))
        );
        assert_eq!(batch.output_file_id.as_deref(), Some("file-out"));
        assert_eq!(batch.completed_at.unwrap().timestamp(), 1_750_861_310);
        assert_eq!((batch.usage.as_deref(), batch.errors), (Some(r#"{"input_tokens":1}"#), None));
    }

    #[test]
    fn null_and_empty_file_ids_are_no_files() {
        let batch = parse(r#"{"status":"completed","output_file_id":null,"error_file_id":""}"#);
        assert_eq!((batch.output_file_id, batch.error_file_id, batch.input_file_id), (None, None, None));
    }

    #[test]
    fn validation_errors_are_unchanged() {
        let errors =
            r#"{"object":"list","data":[{"code":"invalid_json_line","message":"m","param":null,"line":4}]}"#;
        let batch = parse(&format!(r#"{{"status":"failed","failed_at":1750861215,"errors":{errors}}}"#));
        assert_eq!(batch.errors.as_deref(), Some(errors));
        assert_eq!(batch.completed_at.unwrap().timestamp(), 1_750_861_215);
    }

    #[test]
    fn the_end_time_belongs_to_the_status() {
        let cancelled =
            parse(r#"{"status":"cancelled","completed_at":1750861211,"cancelled_at":1750861299.0}"#);
        assert_eq!(cancelled.completed_at.unwrap().timestamp(), 1_750_861_299);
        let unnamed =
            parse(r#"{"status":"expired","completed_at":0,"cancelled_at":1750861300,"cancelling_at":5}"#);
        assert_eq!(unnamed.completed_at.unwrap().timestamp(), 1_750_861_300);
        assert_eq!(parse(r#"{"status":"in_progress","cancelling_at":5}"#).completed_at, None);
    }

    #[test]
    fn final_statuses_are_ended() {
        for status in ["validating", "in_progress", "finalizing", "cancelling"] {
            assert_eq!(parse(&format!(r#"{{"status":"{status}"}}"#)).phase(), Phase::Running, "{status}");
        }
        for unknown in ["{}", r#"{"status":7}"#, r#"{"status":"completed_with_errors"}"#] {
            assert_eq!(parse(unknown).phase(), Phase::Unknown, "{unknown}");
        }
        for status in ["completed", "failed", "expired", "cancelled"] {
            assert!(parse(&format!(r#"{{"status":"{status}"}}"#)).phase() == Phase::Ended, "{status}");
        }
    }

    #[test]
    fn counts_without_a_named_file_mean_that_it_is_still_to_come() {
        let unnamed = |json: &str| parse(json).has_unnamed_file();
        assert!(unnamed(r#"{"request_counts":{"total":2,"completed":1,"failed":1},"error_file_id":"f"}"#));
        assert!(unnamed(r#"{"request_counts":{"total":2,"completed":1,"failed":1},"output_file_id":"f"}"#));
        assert!(!unnamed(
            r#"{"request_counts":{"completed":1,"failed":1},"output_file_id":"f","error_file_id":"g"}"#
        ));
        assert!(!unnamed(r#"{"request_counts":{"total":2,"completed":0,"failed":0}}"#));
        assert!(!unnamed(r#"{"request_counts":null}"#));
        let refused = r#"{"status":"failed","errors":{"data":[{"code":"x"}]},"request_counts":{"failed":2}}"#;
        assert!(!unnamed(refused), "it never ran");
    }

    #[test]
    fn malformed_fields_are_none() {
        let batch = parse(
            r#"{"id":"batch_1","request_counts":[1],"status":3,"usage":[],"metadata":"x","created_at":"then",
            "output_file_id":["file"],"n":1e400000,"s":"\udfff\u0000"}"#,
        );
        assert_eq!(batch.id.as_deref(), Some("batch_1"));
        assert_eq!((batch.status, batch.usage, batch.metadata), (None, None, None));
        assert_eq!((batch.requests_total, batch.created_at, batch.output_file_id), (None, None, None));
        let counts = parse(r#"{"request_counts":{"total":3.0,"completed":null,"failed":"2"}}"#);
        assert_eq!(
            (counts.requests_total, counts.requests_completed, counts.requests_failed),
            (Some(3), None, None)
        );
    }
}
