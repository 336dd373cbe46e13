//! An unknown status may be a new terminal status of OpenAI, or an intermediate one. It is checked again for a while;
//! if it does not change, the object is stored with it, because the results were paid for.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use openai_client::Phase;
use service::excerpt;
use webhook::FetchState;

use crate::context::Context;
use crate::failure::{HandlerError, shown_status};
use crate::handlers::fetch::Found;
use crate::job::Job;

/// The status is final after this many identical responses, or after this time.
const ANSWERS_MIN: u32 = 10;
const UNCHANGED_FOR: Duration = Duration::from_secs(3600);

/// How often, and since when, the same status was seen. Any worker may make the next attempt, so the observation is
/// parsed from the previous attempt's error, which is stored with the entry in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Observation {
    status: String,
    answers: u32,
    since: DateTime<Utc>,
}

impl<T> Found<T> {
    /// Whether the object is terminal; an error when it must be fetched again.
    pub(super) async fn ended(
        &self,
        context: &Context,
        job: &Job<'_>,
        what: &'static str,
        (phase, status): (Phase, Option<&str>),
    ) -> Result<bool, HandlerError> {
        match phase {
            _ if self.state != FetchState::Fetched => return Ok(phase == Phase::Ended),
            Phase::Ended => return Ok(true),
            Phase::Running => return Err(HandlerError::not_terminal(what, status)),
            Phase::Unknown => {}
        }
        let now = Utc::now();
        let observation = Observation::after(job.last_error.as_deref(), status, now);
        let settled = observation.answers >= ANSWERS_MIN
            || context.retry.is_settled(observation.since, UNCHANGED_FOR, now)
            || context.was_tried_long_enough(job).await;
        if !settled {
            return Err(HandlerError::UnknownStatus { what, observation: observation.to_string() });
        }
        tracing::warn!(
            object.id = excerpt(job.object_id().unwrap_or_default()).as_ref(),
            status = observation.status,
            answers = observation.answers,
            "the status is unknown and does not change; the object is stored as it is"
        );
        Ok(true)
    }
}

impl Observation {
    fn after(last_error: Option<&str>, status: Option<&str>, now: DateTime<Utc>) -> Self {
        let mut observation = Self { status: shown_status(status), answers: 1, since: now };
        if let Some((answers, since)) = last_error.and_then(|error| observation.read(error)) {
            (observation.answers, observation.since) = (answers.saturating_add(1), since);
        }
        observation
    }

    fn prefix(&self) -> String {
        format!("has the unknown status {:?}: answer ", self.status)
    }

    /// Parses an observation of the same status from an error.
    fn read(&self, error: &str) -> Option<(u32, DateTime<Utc>)> {
        let (answers, since) = error.split_once(&self.prefix())?.1.split_once(" since ")?;
        let since = since.split_whitespace().next()?;
        Some((answers.parse().ok()?, DateTime::parse_from_rfc3339(since).ok()?.to_utc()))
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since.to_rfc3339_opts(SecondsFormat::Secs, true);
        write!(f, "{}{} since {since}", self.prefix(), self.answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_status_is_counted_across_errors_and_another_starts_over() {
        let now = DateTime::from_timestamp(1_795_464_147, 0).unwrap();
        let later = now + UNCHANGED_FOR;
        let odd = "a \"b\": answer 99 since 1970-01-01T00:00:00Z";
        for status in [Some("completed_with_errors"), Some(odd), None] {
            let first = Observation::after(None, status, now);
            assert_eq!((first.answers, first.since), (1, now));
            let error = format!("not_terminal: the batch {first}");
            let second = Observation::after(Some(&error), status, later);
            assert_eq!((second.answers, second.since), (2, now), "{error}");
            let other = Observation::after(Some(&error), Some("another"), later);
            assert_eq!((other.answers, other.since), (1, later));
        }
        let unrelated = Observation::after(Some("openai_unavailable: no answer"), None, now);
        assert_eq!(unrelated.answers, 1);
    }
}
