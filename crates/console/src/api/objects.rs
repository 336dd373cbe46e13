//! One object by its id.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use bytes::Bytes;
use operations::ObjectId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::{Found, Store};
use utoipa::{IntoParams, ToSchema};
use webhook::FinalState;

use super::{json, ok};
use crate::bodies::BodyAccess;
use crate::problem::{ApiError, Problem};
use crate::state::State;
use crate::waiting::Ending;

/// An object, or the event of a webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ObjectAnswer {
    /// event, response, batch, fine_tuning_job, model, eval_run, safety_alert, agent_session, agent_turn or file.
    kind: String,
    id: String,
    /// With `wait`: stored, dead, not_found, expired or forbidden. Without: for an event its state, for a batch that of its
    /// results, for another object how it was fetched.
    state: String,
    /// Why it is lost, if it is.
    reason: Option<String>,
    /// As `landfall show --json` prints it; null if only its event is known. Bodies are null if `CONSOLE_BODIES` withholds
    /// them.
    #[schema(value_type = Option<Object>)]
    object: Option<Box<RawValue>>,
}

impl ObjectAnswer {
    /// For an object of which only the event is known, such as one that OpenAI does not have.
    fn nothing(id: &str) -> Self {
        let kind = id.parse().map_or("object", |id: ObjectId| id.kind().as_str());
        Self { kind: kind.to_owned(), id: id.to_owned(), state: String::new(), reason: None, object: None }
    }
}

/// The longest wait, in seconds. Proxies end connections that are silent for longer.
const WAIT_MAX_SECS: u64 = 120;

/// The query of an object.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ObjectQuery {
    /// Wait so many seconds until the object is stored or lost.
    #[param(minimum = 0, maximum = 120)]
    wait: Option<u64>,
}

/// An object that is not there yet.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NotThereYet {
    id: String,
    /// Always `waiting`.
    #[schema(example = "waiting")]
    state: &'static str,
}

/// One object by its id
///
/// Anything that `landfall show` finds: the id of a webhook, an event, a response, a batch, a fine-tuning job, a model, an
/// eval run, a safety alert, an agent session or turn, or a file.
///
/// With `wait`, the answer comes when the object is stored or lost: a batch with all its results, an agent session when its
/// newest turn has ended. If that takes longer than `wait`, it is 202; ask again at once. A lost object (`dead`,
/// `not_found`, `expired`, `forbidden`) is answered at once, with `object` null if nothing of it is stored.
#[utoipa::path(
    params(("id" = String, Path, description = "Such as resp_…, batch_…, ftjob-… or wh_…"), ObjectQuery),
    responses(
        (status = 200, body = ObjectAnswer),
        (status = 202, body = NotThereYet),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 429, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json")
    )
)]
#[get("/objects/{id}")]
pub(crate) async fn get_object(
    state: web::Data<State>,
    request: HttpRequest,
    id: web::Path<String>,
    query: web::Query<ObjectQuery>,
) -> Result<HttpResponse, ApiError> {
    let bodies = state.bodies_for(&request);
    // Boxed: a request that waits holds only the little that it needs for it.
    let answer = match query.wait {
        None => Box::pin(answer(&state, &id, bodies, None)).await?,
        Some(seconds) => {
            let Some(ending) = wait(&state, &id, seconds).await? else { return not_there_yet(&id) };
            let make = answer(&state, &id, bodies, Some(ending.state));
            Box::pin(ending.answer(bodies).get_or_make(make)).await?
        }
    };
    Ok(ok().content_type("application/json").body(answer))
}

/// The object as JSON; `ended` is the state that it was waited for with.
async fn answer(
    state: &State,
    id: &str,
    bodies: BodyAccess,
    ended: Option<FinalState>,
) -> Result<Bytes, ApiError> {
    let store = state.database.reader().await?;
    let found = operations::find(store, id).await?.into_iter().next();
    let mut answer = match (&found, ended) {
        (Some(found), _) => described(store, id, found).await?,
        (None, Some(_)) => ObjectAnswer::nothing(id),
        (None, None) => {
            return Err(ApiError::NotFound(format!("nothing is stored under the id {id:?}")));
        }
    };
    if let Some(ended) = ended {
        answer.state = ended.as_str().to_owned();
        if ended != FinalState::Stored {
            let cause = operations::wait::cause(store, id, ended).await?;
            answer.reason = cause.and_then(|event| event.reason).map(|reason| reason.to_string());
        }
    }
    answer.object = answer.object.map(|object| bodies.row(object)).transpose()?;
    // Written by serde_json directly: JSON that OpenAI sent stays as it was, byte for byte.
    Ok(serde_json::to_vec(&answer)?.into())
}

/// `None` if it is not there within the time.
async fn wait(state: &State, id: &str, seconds: u64) -> Result<Option<Arc<Ending>>, ApiError> {
    if seconds > WAIT_MAX_SECS {
        return Err(ApiError::BadRequest(format!(
            "wait must be at most {WAIT_MAX_SECS}: ask again after that"
        )));
    }
    let id: ObjectId = id.parse().map_err(|error| ApiError::BadRequest(format!("{id:?} is {error}")))?;
    state.waiting.wait(id, Duration::from_secs(seconds)).await
}

/// The client may ask again without a pause, because the next call waits too.
fn not_there_yet(id: &str) -> Result<HttpResponse, ApiError> {
    let mut response = HttpResponse::Accepted();
    response.insert_header((header::RETRY_AFTER, "0"));
    json(response, &NotThereYet { id: id.to_owned(), state: "waiting" })
}

async fn described(store: &Store, id: &str, found: &Found) -> Result<ObjectAnswer, ApiError> {
    let [kind, state] = kind_and_state(found).map(str::to_owned);
    let object = Some(operations::record(store, found).await?);
    Ok(ObjectAnswer { kind, id: id.to_owned(), state, reason: None, object })
}

fn kind_and_state(found: &Found) -> [&str; 2] {
    match found {
        Found::Event(event) => ["event", event.state.as_str()],
        Found::Response(response) => ["response", response.fetch_state.as_str()],
        Found::Batch(batch) => ["batch", batch.results_state.as_str()],
        Found::FineTuningJob(job) => ["fine_tuning_job", job.fetch_state.as_str()],
        Found::Model(_) => ["model", "fetched"],
        Found::EvalRun(run) => ["eval_run", run.fetch_state.as_str()],
        Found::SafetyAlert(alert) => ["safety_alert", alert.fetch_state.as_str()],
        Found::AgentSession(session) => ["agent_session", session.fetch_state.as_str()],
        Found::AgentTurn(turn) => ["agent_turn", turn.fetch_state.as_str()],
        Found::File(_) => ["file", "fetched"],
    }
}
