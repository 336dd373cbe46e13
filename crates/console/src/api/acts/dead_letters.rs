//! Redrives and discards dead letters.

use actix_web::web::ReqData;
use actix_web::{HttpResponse, get, post, web};
use operations::dead_letter_acts::{self, LetterAct};
use operations::dead_letters::{DeadLetterFilter, DeadLetterSelection, is_letter_id};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use webhook::{Family, Reason};

use super::{Acted, Chosen, ITEMS_MAX, Preview, SAMPLE_MAX, chosen};
use crate::access::Caller;
use crate::api::parameters::{families, named, reasons};
use crate::api::{json, ok, opaque};
use crate::problem::ApiError;
use crate::state::State;

/// Which dead letters a preview counts; all of them if nothing is given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LetterQuery {
    #[param(schema_with = families)]
    family: Option<String>,
    #[param(schema_with = reasons)]
    reason: Option<String>,
}

/// A dead letter, as the list names it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LetterName {
    #[schema(example = "batch")]
    family: String,
    #[schema(example = "1795470486874-0")]
    id: String,
}

/// The dead letters to change: either `letters` or `preview`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LetterChoice {
    /// Up to 100.
    letters: Option<Vec<LetterName>>,
    /// `preview` of `/dead-letters/preview`, or `next` of the previous call.
    preview: Option<String>,
}

/// Counts the dead letters that a redrive or a discard would change
#[utoipa::path(params(LetterQuery), responses((status = 200, body = Preview)))]
#[get("/dead-letters/preview")]
pub(crate) async fn preview_letters(
    state: web::Data<State>,
    query: web::Query<LetterQuery>,
) -> Result<HttpResponse, ApiError> {
    let filter = DeadLetterFilter {
        family: named::<Family>("family", query.family.as_deref())?,
        reason: named::<Reason>("reason", query.reason.as_deref())?,
    };
    let selection = DeadLetterSelection::now(&state.queue, filter).await?;
    let found = dead_letter_acts::preview(&state.queue, &selection, SAMPLE_MAX).await?;
    let sample = found.sample.iter().map(|letter| serde_json::value::to_raw_value(&letter.line()));
    let sample = sample.collect::<Result<_, _>>()?;
    json(ok(), &Preview { count: found.count, sample, preview: opaque::encode(&selection) })
}

/// Puts dead letters back into the queue
///
/// Each becomes a new entry, whose attempts begin again.
#[utoipa::path(
    request_body = LetterChoice,
    responses(
        (status = 200, body = Acted)
    )
)]
#[post("/dead-letters/redrive")]
pub(crate) async fn redrive_letters(
    state: web::Data<State>,
    caller: ReqData<Caller>,
    choice: web::Json<LetterChoice>,
) -> Result<HttpResponse, ApiError> {
    act(&state, &caller, LetterAct::Redrive, choice.into_inner()).await
}

/// Deletes dead letters for good
#[utoipa::path(
    request_body = LetterChoice,
    responses(
        (status = 200, body = Acted)
    )
)]
#[post("/dead-letters/discard")]
pub(crate) async fn discard_letters(
    state: web::Data<State>,
    caller: ReqData<Caller>,
    choice: web::Json<LetterChoice>,
) -> Result<HttpResponse, ApiError> {
    act(&state, &caller, LetterAct::Discard, choice.into_inner()).await
}

async fn act(
    state: &State,
    caller: &Caller,
    act: LetterAct,
    choice: LetterChoice,
) -> Result<HttpResponse, ApiError> {
    let acted = match chosen("letters", choice.letters, choice.preview)? {
        Chosen::Named(letters) => {
            // All names first, so that a wrong one stops the call before it changes anything.
            let letters = letters.into_iter().map(LetterName::parse).collect::<Result<Vec<_>, _>>()?;
            let mut acted = Acted::default();
            for (family, id) in letters {
                acted.count(act.apply(&state.queue, family, &id).await?);
            }
            acted
        }
        Chosen::Previewed(selection) => act_on(state, act, &selection).await?,
    };
    let outcome = act.outcome();
    tracing::info!(caller = caller.name(), letters = acted.done, outcome, "dead letters {outcome}");
    json(ok(), &acted)
}

/// At most 5,000 of them.
async fn act_on(state: &State, act: LetterAct, selection: &DeadLetterSelection) -> Result<Acted, ApiError> {
    let acted = act.run(&state.queue, selection, ITEMS_MAX).await?;
    let next = acted.has_more.then(|| opaque::encode(selection));
    Ok(Acted { done: acted.done, gone: acted.gone, next })
}

impl LetterName {
    fn parse(self) -> Result<(Family, String), ApiError> {
        let wrong = || ApiError::BadRequest(format!("{:?} is not the id of a dead letter", self.id));
        if !is_letter_id(&self.id) {
            return Err(wrong());
        }
        let family = named::<Family>("family", Some(&self.family))?;
        Ok((family.ok_or_else(wrong)?, self.id))
    }
}
