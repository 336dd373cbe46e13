//! Server-sent events of what was stored or lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get, web};
use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt as _, unfold};
use queue::{Change, ChangeFollower, ChangeId, Followed, QueueConfig};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

use super::ok;
use crate::changes::Announced;
use crate::problem::{ApiError, Problem};
use crate::state::State;

/// Clients at once.
pub(crate) const CLIENTS_MAX: usize = 200;
/// A line that clients ignore, so that both ends notice a connection that is gone.
const HEARTBEAT: Duration = Duration::from_secs(15);
const GAP: &str = "event: gap\ndata: {}\n\n";

/// What was stored or lost, as it happens
///
/// Server-sent events: the id is the place in the stream, the data `{"kind", "id", "state"}`. `Last-Event-ID` continues
/// after that place; `event: gap` says that changes are missing, so that a client should look for itself. A change may come
/// twice.
#[utoipa::path(
    params(("Last-Event-ID" = Option<String>, Header, description = "The id of the last event received")),
    responses(
        (status = 200, content_type = "text/event-stream", description = "The events", body = String),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 429, body = Problem, content_type = "application/problem+json")
    )
)]
#[get("/events/stream")]
pub(crate) async fn event_stream(
    state: web::Data<State>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let full = |_| ApiError::TooMany("event streams");
    let place = Arc::clone(&state.stream_places).try_acquire_owned().map_err(full)?;
    let after = match request.headers().get("Last-Event-ID") {
        None => None,
        Some(id) => Some(id.to_str().ok().and_then(|id| id.parse().ok()).ok_or_else(|| {
            ApiError::BadRequest("Last-Event-ID must be the id of an event of this stream".to_owned())
        })?),
    };
    // Before the past is read, so that nothing is missed between the two.
    let live = state.changes.subscribe();
    let (past, last) = past(&state.queue_config, after).await?;
    let client = Client { live, pending: past, last, _place: place };
    let until_stopped = events(client).take_until(state.stopped.clone().cancelled_owned());
    Ok(ok().content_type("text/event-stream").streaming(until_stopped))
}

/// Places for clients.
pub(crate) fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(CLIENTS_MAX))
}

/// One client of the stream.
struct Client {
    live: broadcast::Receiver<Announced>,
    /// Events to send first.
    pending: VecDeque<String>,
    /// The newest change that was sent.
    last: ChangeId,
    _place: OwnedSemaphorePermit,
}

/// The changes after this place, and the place of the last one.
async fn past(
    queue: &QueueConfig,
    after: Option<ChangeId>,
) -> Result<(VecDeque<String>, ChangeId), ApiError> {
    let Some(after) = after else { return Ok((VecDeque::new(), ChangeId::default())) };
    let mut follower = ChangeFollower::after(queue, after)?;
    let mut events = VecDeque::new();
    loop {
        match follower.next(Duration::from_millis(1)).await? {
            Followed::Gap => events.push_back(GAP.to_owned()),
            Followed::Changes(changes) if changes.is_empty() => return Ok((events, follower.position())),
            Followed::Changes(changes) => events.extend(changes.iter().map(event)),
        }
    }
}

fn events(client: Client) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
    unfold(client, |mut client| async move {
        if let Some(event) = client.pending.pop_front() {
            return Some((Ok(event.into()), client));
        }
        loop {
            let next = tokio::time::timeout(HEARTBEAT, client.live.recv()).await;
            let event = match next {
                Err(_) => ": still here\n\n".to_owned(),
                Ok(Ok(Announced::Gap)) | Ok(Err(broadcast::error::RecvError::Lagged(_))) => GAP.to_owned(),
                // It was sent with the past.
                Ok(Ok(Announced::Change(change))) if change.id <= client.last => continue,
                Ok(Ok(Announced::Change(change))) => {
                    client.last = change.id;
                    event(&change)
                }
                Ok(Err(broadcast::error::RecvError::Closed)) => return None,
            };
            return Some((Ok(event.into()), client));
        }
    })
}

fn event(change: &Change) -> String {
    let data = json!({ "kind": change.kind, "id": change.object_id, "state": change.state });
    format!("id: {}\ndata: {data}\n\n", change.id)
}
