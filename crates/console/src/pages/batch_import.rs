//! How far the import of a batch's results is, and why it does not go on.

use chrono::{DateTime, TimeDelta, Utc};
use operations::{ImportActivity, import_activity};
use serde_json::Value;
use store::{EventRecord, Import, ResultsState, Store, StoreError, StoredBatch};
use webhook::MaybeKnown;

use super::quantity;
use super::shell_word::shell_word;
use super::state_word::StateWord;
use crate::state::State;

/// Reasons shown why a batch was rejected.
const REJECTIONS_MAX: usize = 20;

/// The part of the page that follows the import.
pub(super) struct ImportView {
    pub(super) state: StateWord,
    pub(super) rows: i64,
    /// Whether no more rows are expected.
    pub(super) is_over: bool,
    /// `None` if OpenAI reported no number of requests.
    pub(super) total: Option<i64>,
    /// Rows, speed and what is left, in one line.
    pub(super) summary: String,
    /// What is wrong, and what to do.
    pub(super) hint: Option<String>,
    /// Why the batch was rejected as a whole.
    pub(super) rejections: Vec<String>,
}

impl ImportView {
    pub(super) async fn of(
        state: &State,
        store: &Store,
        batch: &StoredBatch,
        now: DateTime<Utc>,
    ) -> Result<Self, StoreError> {
        let rows = quantity::counted(batch.rows_stored, "row");
        let mut parts = vec![rows];
        let fetch = format!("landfall fetch {}", shell_word(&batch.batch.batch_id));
        let rejections = rejections(batch.batch.errors.as_deref());
        let (word, hint) = match batch.results_state {
            ResultsState::Complete if !rejections.is_empty() => (StateWord::new("bad", "rejected"), None),
            ResultsState::Complete => (StateWord::new("ok", "complete"), None),
            ResultsState::Mismatch => (
                StateWord::new("bad", "mismatch"),
                Some(format!(
                    "All lines that OpenAI has are stored, but not one per request. {fetch} reads the files again."
                )),
            ),
            ResultsState::Expired => {
                let hint =
                    "A file expired at OpenAI before it was read. The rows stored until then are below.";
                (StateWord::new("bad", "expired"), Some(hint.to_owned()))
            }
            ResultsState::Unfetched => {
                (StateWord::new("bad", "not fetched"), Some(format!("Try {fetch}, or see its events below.")))
            }
            ResultsState::Importing => {
                let activity = import_activity(store, &state.queue, batch).await?;
                let import = store.batch_import(&batch.batch.project, &batch.batch.batch_id).await?;
                parts.extend(import.iter().filter(|_| is_running(&activity)).flat_map(|it| pace(it, now)));
                unfinished(&activity, &fetch)
            }
        };
        parts.push(format!("{} quarantined", quantity::count(batch.rows_quarantined)));
        Ok(Self {
            state: word,
            rows: batch.rows_stored,
            is_over: batch.results_state != ResultsState::Importing,
            total: batch.batch.requests_total.filter(|total| *total > 0),
            summary: parts.join(" · "),
            hint,
            rejections,
        })
    }
}

fn is_running(activity: &ImportActivity) -> bool {
    matches!(activity, ImportActivity::Running)
}

/// Speed and time left.
fn pace(import: &Import, now: DateTime<Utc>) -> Vec<String> {
    let per_sec = import.rows_per_sec(now);
    let left = import.left(now).and_then(|left| TimeDelta::from_std(left).ok());
    let left = left.map(|left| format!("about {} left", quantity::span(left)));
    [Some(format!("{} rows a second", quantity::count(per_sec as i128))), left]
        .into_iter()
        .flatten()
        .collect()
}

fn unfinished(activity: &ImportActivity, fetch: &str) -> (StateWord, Option<String>) {
    let why = |event: &EventRecord| {
        let reason = event.reason.as_ref().map(MaybeKnown::as_str);
        let texts: Vec<&str> = [reason, event.last_error.as_deref()].into_iter().flatten().collect();
        if texts.is_empty() { String::new() } else { format!(" ({})", texts.join(": ")) }
    };
    match activity {
        ImportActivity::Running => (StateWord::new("wait", "importing"), None),
        ImportActivity::NoWorker => {
            let hint = "No worker with a recent heartbeat imports a batch. Start one: it goes on where the last one ended.";
            (StateWord::new("bad", "stuck"), Some(hint.to_owned()))
        }
        ImportActivity::Unknown => {
            let hint = "Redis cannot be read, so it is not known whether a worker imports it.";
            (StateWord::new("wait", "importing"), Some(hint.to_owned()))
        }
        ImportActivity::Retrying(event) => (
            StateWord::new("wait", "waits for a retry"),
            Some(format!("It goes on with the next attempt{}.", why(event))),
        ),
        ImportActivity::Dead(event) => {
            let hint =
                format!("Its event is a dead letter{}. Redrive it: it goes on where it ended.", why(event));
            (StateWord::new("bad", "given up"), Some(hint))
        }
        ImportActivity::Abandoned => {
            let hint = format!("Its import did not finish, and no event continues it: {fetch}.");
            (StateWord::new("bad", "stuck"), Some(hint))
        }
    }
}

/// `line 3: invalid_json_line: This line is …`
fn rejections(errors: Option<&str>) -> Vec<String> {
    let errors: Value = errors.and_then(|errors| serde_json::from_str(errors).ok()).unwrap_or_default();
    let errors = errors["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |error: &Value| {
        let line = error["line"].as_i64().map(|line| format!("line {}: ", quantity::count(line)));
        format!("{}{}", line.unwrap_or_default(), operations::error_message(&error.to_string()))
    };
    errors.iter().take(REJECTIONS_MAX).map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_batch_says_why() {
        let errors = r#"{"object":"list","data":[{"code":"invalid_json_line","message":"No <JSON>.","line":3},
            {"code":"x"},7]}"#;
        assert_eq!(rejections(Some(errors)), ["line 3: invalid_json_line: No <JSON>.", "x", "7"]);
        assert!(rejections(Some("{}")).is_empty() && rejections(None).is_empty());
    }

    #[test]
    fn an_import_that_no_worker_continues_is_stuck() {
        let words: Vec<String> =
            [ImportActivity::Running, ImportActivity::NoWorker, ImportActivity::Abandoned]
                .iter()
                .map(|activity| unfinished(activity, "landfall fetch batch_1").0.word)
                .collect();
        assert_eq!(words, ["importing", "stuck", "stuck"]);
    }
}
