//! Explains why a batch has fewer results than expected, for `results`, `export` and `show`, so that users neither work
//! with incomplete results nor wait for results that will not arrive.

use serde_json::Value;
use store::{EventRecord, ResultsState, Store, StoredBatch};
use webhook::{EventState, Family, FetchState, MaybeKnown, Reason};

use crate::exit::CliError;
use crate::{events, output, printable};

/// Which results are missing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shortfall {
    /// All results that OpenAI has are stored, but their number differs from the number of requests.
    Mismatch,
    /// No results, or only a part of them, are stored.
    Incomplete(String),
}

impl Shortfall {
    /// `None` when the results are complete.
    pub(crate) async fn of(store: &Store, stored: &StoredBatch) -> Result<Option<Self>, CliError> {
        let batch = &stored.batch;
        let incomplete = |reason: String| Some(Self::Incomplete(reason));
        Ok(match stored.results_state {
            ResultsState::Importing => {
                let events = events_about(store, &batch.project, &batch.batch_id).await?;
                incomplete(unfinished(&events, &batch.batch_id))
            }
            ResultsState::Expired => incomplete("a file expired before it was read".to_owned()),
            ResultsState::Unfetched => incomplete(unfetched(&batch.fetch_state).to_owned()),
            ResultsState::Complete | ResultsState::Mismatch if stored.rows_stored == 0 => {
                incomplete(no_results(batch.status.as_deref(), batch.errors.as_deref()))
            }
            ResultsState::Mismatch => Some(Self::Mismatch),
            ResultsState::Complete => None,
        })
    }
}

/// Explains why a batch has no row, from its events if there are any.
pub(crate) async fn of_unknown(store: &Store, batch_id: &str) -> Result<String, CliError> {
    let about = store.events_about(batch_id).await?;
    let about: Vec<EventRecord> = about.into_iter().filter(|event| event.family == Family::Batch).collect();
    let id = printable::one_line(batch_id);
    Ok(match about.first() {
        None => format!("no batch found with ID {id}"),
        Some(event) if event.reason == Some(Reason::NotFound.into()) && event.state == EventState::Stored => {
            format!("OpenAI does not know {id}")
        }
        Some(_) => format!("{id} is not stored: {}", unfinished(&about, batch_id)),
    })
}

async fn events_about(store: &Store, project: &str, batch_id: &str) -> Result<Vec<EventRecord>, CliError> {
    let events = store.events_about(batch_id).await?;
    let is_ours = |event: &EventRecord| event.project == project && event.family == Family::Batch;
    Ok(events.into_iter().filter(is_ours).collect())
}

/// Describes the event that is most likely to succeed: each one imports the whole batch.
fn unfinished(events: &[EventRecord], batch_id: &str) -> String {
    let in_state = |state: EventState| events.iter().find(|event| event.state == state);
    let why = |event: &EventRecord| match &event.reason {
        Some(reason) => {
            format!(" ({})", output::shortened(&events::why(reason, event.last_error.as_deref()), 200))
        }
        None => String::new(),
    };
    if in_state(EventState::Received).is_some() {
        "a worker is importing it; see `landfall status`".to_owned()
    } else if let Some(event) = in_state(EventState::Retrying) {
        format!("it is waiting for a retry{}; `landfall retry --all` retries it now", why(event))
    } else if let Some(event) = in_state(EventState::Dead) {
        format!("its event is a dead letter{}; see `landfall dead list`", why(event))
    } else {
        format!("its import did not finish; run `landfall fetch {}`", printable::one_line(batch_id))
    }
}

fn unfetched(state: &MaybeKnown<FetchState>) -> &str {
    match state {
        MaybeKnown::Known(FetchState::NotFound) => "OpenAI does not know it (not_found)",
        MaybeKnown::Known(FetchState::Forbidden) => "OpenAI denied access to it (forbidden)",
        MaybeKnown::Known(FetchState::Off) => "it was not fetched (FETCH=off)",
        // An unfetched batch does not have these.
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
    let text_of = |name: &str| first.get(name).and_then(Value::as_str).map(printable::sentence);
    let mut text = "it failed validation, so it has no results".to_owned();
    for part in [text_of("code"), text_of("message")].into_iter().flatten() {
        text.push_str(": ");
        text.push_str(&output::shortened(&part, 200));
    }
    if let Some(line) = first.get("line").and_then(Value::as_i64) {
        text.push_str(&format!(" (line {line})"));
    }
    if !others.is_empty() {
        text.push_str(&format!(", and {} more", output::count(others.len() as u64)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_batch_says_why() {
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
