//! Parts of an object that are fetched beside it, such as the input file of a batch: what cannot be read never costs the
//! event.

use error_text::chain;
use openai_client::{ApiError, ErrorKind};
use service::excerpt;
use store::PartState;

use crate::failure::{HandlerError, RetryAdvice};
use crate::handlers::fetch;
use crate::job::Job;

/// A part that cannot be read does not keep its object out of the database for days: after this many attempts the object
/// is stored without it.
const ATTEMPTS_MAX: u32 = 8;

/// The state of a part that is left out because of this error. Errors that a retry may cure, and those that say nothing
/// about the part, are returned.
pub(super) fn left_out(job: &Job<'_>, error: HandlerError) -> Result<PartState, HandlerError> {
    let state = final_state(&error)
        .or_else(|| (job.attempt >= ATTEMPTS_MAX && is_of_part(&error)).then_some(PartState::Failed));
    let Some(state) = state else { return Err(error) };
    tracing::warn!(
        object.id = excerpt(job.object_id().unwrap_or_default()).as_ref(),
        state = state.as_str(),
        error = chain(&error),
        "could not read a part of the object; the object is stored without it"
    );
    Ok(state)
}

fn final_state(error: &HandlerError) -> Option<PartState> {
    match error {
        HandlerError::Api { source, .. } if fetch::is_missing_right(source) => Some(PartState::Forbidden),
        HandlerError::Api { source: ApiError::TooLarge { .. }, .. } => Some(PartState::TooLarge),
        HandlerError::Api { source, .. } => match source.kind() {
            ErrorKind::NotFound => Some(PartState::NotFound),
            ErrorKind::PolicyViolation => Some(PartState::Forbidden),
            _ => (error.classify().1 == RetryAdvice::GiveUp).then_some(PartState::Failed),
        },
        // A value that the database never accepts.
        HandlerError::Store(_) if error.classify().1 == RetryAdvice::GiveUp => Some(PartState::Failed),
        _ => None,
    }
}

/// Whether the error is about the part alone: not a rate limit, a full disk or the database.
fn is_of_part(error: &HandlerError) -> bool {
    match error {
        HandlerError::Api { source, .. } => source.kind() != ErrorKind::RateLimited,
        HandlerError::WrongLength { .. } => true,
        _ => false,
    }
}
