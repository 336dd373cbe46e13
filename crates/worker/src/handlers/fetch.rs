//! Fetches objects: the object embedded in the event is used only when OpenAI will never return it.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use error_text::chain;
use openai_client::{Advice, ApiError, BodyReservation, Client, ErrorKind, Fetched};
use service::excerpt;
use webhook::{FetchState, Reason};

use crate::context::{Context, Fetching};
use crate::failure::{self, HandlerError};
use crate::job::Job;

/// An object, and where it came from.
pub(super) struct Found<T> {
    pub(super) object: T,
    pub(super) raw: Option<Bytes>,
    pub(super) state: FetchState,
    /// When it was requested, if OpenAI answered: of two responses, the later request is newer, however long each took.
    pub(super) fetched_at: Option<DateTime<Utc>>,
    /// Why it was not fetched, for the event's row.
    pub(super) reason: Option<Reason>,
    /// The body memory that the object uses: held as long as the object.
    pub(super) reservation: BodyReservation,
}

/// The kind of an object, as messages name it, and what it means that OpenAI refuses to return it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    /// Every API key may read it: 401 and 403 make the key suspect.
    Always(&'static str),
    /// The API key may lack the right to read it: 401 and 403 are final for this object, and say nothing about others.
    IfPermitted(&'static str),
}

/// Fetches an object, or falls back on the event's own `data`.
///
/// `parse` parses the embedded object; `{}` is used when there is none, so that the row exists and can be repaired.
pub(super) async fn object<T, F>(
    context: &Context,
    job: &Job<'_>,
    wanted: Wanted,
    call: impl FnOnce(Client) -> F,
    parse: impl Fn(&[u8]) -> Result<T, serde_json::Error>,
) -> Result<Found<T>, HandlerError>
where
    F: Future<Output = Result<Fetched<T>, ApiError>>,
{
    let (state, reason) = match client(context, job)? {
        None => (FetchState::Off, None),
        Some(client) => {
            let asked_at = Utc::now();
            match (call(client).await, wanted) {
                (Ok(fetched), _) => {
                    note(context, job, None);
                    return Ok(Found::fetched(fetched, asked_at));
                }
                (Err(error), Wanted::IfPermitted(_)) if is_missing_right(&error) => {
                    (FetchState::Forbidden, Some(Reason::Forbidden))
                }
                (Err(error), Wanted::Always(what) | Wanted::IfPermitted(what)) => {
                    note(context, job, Some(error.kind()));
                    unfetched_for_good(context, job, what, error)?
                }
            }
        }
    };
    Found::embedded(job, parse, state, reason)
}

/// OpenAI answers 401 ("Missing scopes") or 403 to a key without the right.
pub(super) fn is_missing_right(error: &ApiError) -> bool {
    matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::Forbidden)
}

/// Parts of an object that may not be read, were deleted or are too large are left out; other errors are for the retry
/// policy.
pub(super) fn left_out(job: &Job<'_>, what: &'static str, source: ApiError) -> Result<(), HandlerError> {
    let is_final = is_missing_right(&source)
        || source.kind() == ErrorKind::NotFound
        || matches!(source, ApiError::TooLarge { .. });
    if !is_final {
        return Err(HandlerError::Api { what, source });
    }
    tracing::warn!(
        object.id = excerpt(job.object_id().unwrap_or_default()).as_ref(),
        error = chain(&source),
        "could not read the {what}; the object is stored without them"
    );
    Ok(())
}

/// Tells the auth failure monitor the outcome of fetching the event's object.
fn note(context: &Context, job: &Job<'_>, error: Option<ErrorKind>) {
    let suspect = context.auth_failures.note(job.object_id(), error);
    context.metrics.key_suspect(suspect);
}

impl<T> Found<T> {
    pub(super) fn fetched(fetched: Fetched<T>, asked_at: DateTime<Utc>) -> Self {
        let Fetched { object, raw, reservation, .. } = fetched;
        let (state, fetched_at) = (FetchState::Fetched, Some(asked_at));
        Self { object, raw: Some(raw), state, fetched_at, reason: None, reservation }
    }

    /// The object embedded in the event.
    pub(super) fn embedded(
        job: &Job<'_>,
        parse: impl Fn(&[u8]) -> Result<T, serde_json::Error>,
        state: FetchState,
        reason: Option<Reason>,
    ) -> Result<Self, HandlerError> {
        let embedded = job.data().filter(|data| parse(data).is_ok());
        let object = parse(embedded.unwrap_or(b"{}")).map_err(HandlerError::BadAnswer)?;
        let raw = embedded.map(Bytes::copy_from_slice);
        Ok(Self { object, raw, state, fetched_at: None, reason, reservation: BodyReservation::default() })
    }
}

/// The client of the event's project; `None` with `FETCH=off`.
pub(super) fn client(context: &Context, job: &Job<'_>) -> Result<Option<Client>, HandlerError> {
    match &context.fetching {
        Fetching::Off => Ok(None),
        Fetching::With(clients) => match clients.get(&job.entry.project) {
            Some(client) => Ok(Some(client.clone())),
            None => Err(HandlerError::NoKey(job.entry.project.clone())),
        },
    }
}

/// Handles responses that no retry will change; returns any other error for the retry policy.
pub(super) fn unfetched_for_good(
    context: &Context,
    job: &Job<'_>,
    what: &'static str,
    source: ApiError,
) -> Result<(FetchState, Option<Reason>), HandlerError> {
    match (source.kind(), source.advice()) {
        (ErrorKind::NotFound, _) => {
            match context.retry.not_found_delay(job.attempt, job.received_at(), Utc::now()) {
                Some(retry_after) => Err(HandlerError::NotFoundYet { what, retry_after, source }),
                None => Ok((FetchState::NotFound, Some(Reason::NotFound))),
            }
        }
        (ErrorKind::PolicyViolation | ErrorKind::Forbidden, Advice::Final) => {
            Ok((FetchState::Forbidden, Some(failure::api_reason(source.kind()))))
        }
        _ => Err(HandlerError::Api { what, source }),
    }
}
