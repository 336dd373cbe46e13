//! Fetches objects: the object embedded in the event is used only when OpenAI will never return it.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use openai_client::{Advice, ApiError, BodyReservation, Client, ErrorKind, Fetched};
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

/// Fetches an object, or falls back on the event's own `data`.
///
/// `parse` parses the embedded object; `{}` is used when there is none, so that the row exists and can be repaired.
pub(super) async fn object<T, F>(
    context: &Context,
    job: &Job<'_>,
    what: &'static str,
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
            let answer = call(client).await;
            let suspect =
                context.auth_failures.note(job.object_id(), answer.as_ref().err().map(ApiError::kind));
            context.metrics.key_suspect(suspect);
            match answer {
                Ok(fetched) => return Ok(Found::fetched(fetched, asked_at)),
                Err(error) => unfetched_for_good(context, job, what, error)?,
            }
        }
    };
    Found::embedded(job, parse, state, reason)
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
