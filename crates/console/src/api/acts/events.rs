//! Replays stored events.

use actix_web::web::ReqData;
use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use operations::replay::{self, EventSelection, NamedEvent, ReplayFilter};
use operations::requeue::{Requeuer, random_id};
use serde::{Deserialize, Serialize};
use store::{EventRecord, Store};
use utoipa::{IntoParams, ToSchema};
use webhook::{EventState, Family, MaybeKnown};

use super::{Acted, Chosen, ITEMS_MAX, Preview, SAMPLE_MAX, chosen};
use crate::access::Caller;
use crate::api::parameters::{self, event_states, families, named};
use crate::api::{json, ok, opaque};
use crate::problem::ApiError;
use crate::state::State;

/// Which events a preview counts; all of them if nothing is given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReplayQuery {
    #[param(schema_with = families)]
    family: Option<String>,
    #[param(schema_with = event_states)]
    state: Option<String>,
    /// Only events of this project.
    project: Option<String>,
    /// Only events received at this time or later.
    #[serde(default, deserialize_with = "parameters::since")]
    since: Option<DateTime<Utc>>,
}

/// The events to replay: either `ids` or `preview`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventChoice {
    /// Up to 100 ids of webhooks (wh_…) or of events (evt_…).
    ids: Option<Vec<String>>,
    /// `preview` of `/events/preview`, or `next` of the previous call.
    preview: Option<String>,
}

/// An event in the sample of a preview.
#[derive(Serialize)]
struct Line<'a> {
    webhook_id: &'a str,
    r#type: &'a str,
    family: &'a MaybeKnown<Family>,
    state: &'a MaybeKnown<EventState>,
    object_id: Option<&'a str>,
    received_at: DateTime<Utc>,
}

/// Counts the events that a replay would enqueue again
#[utoipa::path(params(ReplayQuery), responses((status = 200, body = Preview)))]
#[get("/events/preview")]
pub(crate) async fn preview_events(
    state: web::Data<State>,
    query: web::Query<ReplayQuery>,
) -> Result<HttpResponse, ApiError> {
    let query = query.into_inner();
    let filter = ReplayFilter {
        family: named::<Family>("family", query.family.as_deref())?,
        state: named::<EventState>("state", query.state.as_deref())?,
        project: query.project,
        since: query.since,
    };
    let store = state.database.reader().await?;
    let selection = EventSelection::now(store, filter).await?;
    let count = selection.count(store).await?;
    let first = selection.clone().next_page(store).await?;
    let sample = first.iter().take(SAMPLE_MAX).map(|event| serde_json::value::to_raw_value(&line(event)));
    let sample = sample.collect::<Result<_, _>>()?;
    json(ok(), &Preview { count, sample, preview: opaque::encode(&selection) })
}

fn line(event: &EventRecord) -> Line<'_> {
    Line {
        webhook_id: &event.webhook_id,
        r#type: &event.event_type,
        family: &event.family,
        state: &event.state,
        object_id: event.object_id.as_deref(),
        received_at: event.received_at,
    }
}

/// Enqueues stored events again
///
/// Workers process them like new ones. An event that waits for a retry becomes due now instead. A call whose answer was lost
/// may be repeated: nothing of a preview is enqueued twice.
#[utoipa::path(
    request_body = EventChoice,
    responses(
        (status = 200, body = Acted)
    )
)]
#[post("/events/replay")]
pub(crate) async fn replay_events(
    state: web::Data<State>,
    caller: ReqData<Caller>,
    choice: web::Json<EventChoice>,
) -> Result<HttpResponse, ApiError> {
    let EventChoice { ids, preview } = choice.into_inner();
    let store = state.database.reader().await?;
    let acted = match chosen("ids", ids, preview)? {
        Chosen::Named(ids) => replay_named(&state, store, &ids).await?,
        Chosen::Previewed(selection) => replay_selected(&state, store, selection).await?,
    };
    log_replay(&caller, acted.done);
    json(ok(), &acted)
}

fn log_replay(caller: &Caller, events: u64) {
    tracing::info!(caller = caller.name(), events, outcome = "replayed", "events enqueued again");
}

/// Replays one event. Returns whether it exists.
pub(crate) async fn replay_one(state: &State, caller: &Caller, id: &str) -> Result<bool, ApiError> {
    let store = state.database.reader().await?;
    let acted = replay_named(state, store, &[id.to_owned()]).await?;
    log_replay(caller, acted.done);
    Ok(acted.done == 1)
}

async fn replay_named(state: &State, store: &Store, ids: &[String]) -> Result<Acted, ApiError> {
    let mut acted = Acted::default();
    let mut requeuer = Requeuer::new(&state.queue_config, random_id())?;
    for id in ids {
        let named = replay::named(store, id).await?;
        if let NamedEvent::Event(event) = &named {
            requeuer.requeue(event).await?;
        }
        acted.count(matches!(named, NamedEvent::Event(_)));
    }
    Ok(acted)
}

async fn replay_selected(
    state: &State,
    store: &Store,
    mut selection: EventSelection,
) -> Result<Acted, ApiError> {
    let mut acted = Acted::default();
    let mut requeuer = Requeuer::new(&state.queue_config, selection.run().to_owned())?;
    loop {
        if acted.done >= ITEMS_MAX {
            return Ok(Acted { next: Some(opaque::encode(&selection)), ..acted });
        }
        let page = selection.next_page(store).await?;
        if page.is_empty() {
            return Ok(acted);
        }
        for event in &page {
            requeuer.requeue(event).await?;
            acted.count(true);
        }
    }
}
