//! Why a batch has fewer results than it should, in words: for `results`, `export` and `show`. Who goes on with half of
//! the results, or waits for some that will not come, should know.

use serde_json::Value;
use store::{EventRecord, ResultsState, Store, StoredBatch};
use webhook::{EventState, Family, FetchState, MaybeKnown, Reason};

use crate::exit::Failure;
use crate::{events, printable, screen};

/// What is missing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shortfall {
    /// All that OpenAI's files hold is stored, but it is not one row a request.
    Mismatch,
    /// There is nothing, or not all of it.
    Incomplete(String),
}

impl Shortfall {
    /// `None` when the batch has all of its results.
    pub(crate) async fn of(store: &Store, stored: &StoredBatch) -> Result<Option<Self>, Failure> {
        let batch = &stored.batch;
        let incomplete = |words: String| Some(Self::Incomplete(words));
        Ok(match stored.results_state {
            ResultsState::Importing => {
                let events = events_about(store, &batch.project, &batch.batch_id).await?;
                incomplete(unfinished(&events, &batch.batch_id))
            }
            ResultsState::Expired => incomplete("a file was gone before it was read".to_owned()),
            ResultsState::Unfetched => incomplete(unfetched(&batch.fetch_state).to_owned()),
            ResultsState::Complete | ResultsState::Mismatch if stored.rows_stored == 0 => {
                incomplete(no_results(batch.status.as_deref(), batch.errors.as_deref()))
            }
            ResultsState::Mismatch => Some(Self::Mismatch),
            ResultsState::Complete => None,
        })
    }
}

/// What to say of a batch that has no row: its events may tell why.
pub(crate) async fn of_unknown(store: &Store, batch_id: &str) -> Result<String, Failure> {
    let about = store.events_about(batch_id).await?;
    let about: Vec<EventRecord> = about.into_iter().filter(|event| event.family == Family::Batch).collect();
    let id = printable::one_line(batch_id);
    Ok(match about.first() {
        None => format!("no batch is stored under {id}"),
        Some(event) if event.reason == Some(Reason::NotFound.into()) && event.state == EventState::Stored => {
            format!("OpenAI does not know {id}")
        }
        Some(_) => format!("{id} is not stored: {}", unfinished(&about, batch_id)),
    })
}

async fn events_about(store: &Store, project: &str, batch_id: &str) -> Result<Vec<EventRecord>, Failure> {
    let events = store.events_about(batch_id).await?;
    let is_ours = |event: &EventRecord| event.project == project && event.family == Family::Batch;
    Ok(events.into_iter().filter(is_ours).collect())
}

/// Of several events the one with the best prospects counts: each of them brings the whole batch.
fn unfinished(events: &[EventRecord], batch_id: &str) -> String {
    let in_state = |state: EventState| events.iter().find(|event| event.state == state);
    let why = |event: &EventRecord| match &event.reason {
        Some(reason) => {
            format!(" ({})", screen::shortened(&events::why(reason, event.last_error.as_deref()), 200))
        }
        None => String::new(),
    };
    if in_state(EventState::Received).is_some() {
        "a worker has begun with it; see `landfall status`".to_owned()
    } else if let Some(event) = in_state(EventState::Retrying) {
        format!("its next try is due later{}; `landfall retry --all` tries at once", why(event))
    } else if let Some(event) = in_state(EventState::Dead) {
        format!("its event was given up{}; `landfall dead list` has it", why(event))
    } else {
        format!("its import did not end; run `landfall fetch {}`", printable::one_line(batch_id))
    }
}

fn unfetched(state: &MaybeKnown<FetchState>) -> &str {
    match state {
        MaybeKnown::Known(FetchState::NotFound) => "OpenAI does not know it (not_found)",
        MaybeKnown::Known(FetchState::Forbidden) => "OpenAI refuses it (forbidden)",
        MaybeKnown::Known(FetchState::Off) => "it was not fetched (FETCH=off)",
        // Not of a batch that was not fetched.
        MaybeKnown::Known(FetchState::Fetched | FetchState::Expired) => "it was not fetched",
        MaybeKnown::Unknown(name) => name,
    }
}

/// `it failed validation, so it has no results: invalid_json_line: This line is … (line 3), and 2 more`
fn no_results(status: Option<&str>, errors: Option<&str>) -> String {
    let errors = errors.and_then(|errors| serde_json::from_str::<Value>(errors).ok());
    let errors = errors.as_ref().and_then(|errors| errors.get("data")?.as_array());
    let status = printable::one_line(status.unwrap_or("unknown"));
    let Some((first, others)) = errors.and_then(|errors| errors.split_first()) else {
        return format!("it has no results; its status is {status}");
    };
    let words = |name: &str| first.get(name).and_then(Value::as_str).map(printable::sentence);
    let mut text = "it failed validation, so it has no results".to_owned();
    for words in [words("code"), words("message")].into_iter().flatten() {
        text.push_str(": ");
        text.push_str(&screen::shortened(&words, 200));
    }
    if let Some(line) = first.get("line").and_then(Value::as_i64) {
        text.push_str(&format!(" (line {line})"));
    }
    if !others.is_empty() {
        text.push_str(&format!(", and {} more", screen::count(others.len() as u64)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_batch_says_for_what() {
        let errors = r#"{"object":"list","data":[{"code":"invalid_json_line","message":"This line\nis not JSON.","line":3},
            {"code":"x"},{"code":"y"}]}"#;
        assert_eq!(
            no_results(Some("failed"), Some(errors)),
            "it failed validation, so it has no results: invalid_json_line: This line is not JSON. (line 3), \
             and 2 more"
        );
        let odd = r#"{"data":[{"message":7}]}"#;
        assert_eq!(no_results(Some("failed"), Some(odd)), "it failed validation, so it has no results");
        for errors in [None, Some("{}"), Some(r#"{"data":[]}"#)] {
            assert_eq!(no_results(Some("cancelled"), errors), "it has no results; its status is cancelled");
        }
    }
}
