//! Redrives and discards dead letters.

use actix_web::web::ReqData;
use actix_web::{HttpResponse, get, post, web};
use operations::dead_letters::{DeadLetterFilter, DeadLetterSelection, Letter};
use queue::{QueueAdmin, QueueError};
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
    let (mut count, mut sample, mut pages) = (0, Vec::new(), selection.pages(&state.queue));
    while let Some(page) = pages.next().await? {
        count += page.len() as u64;
        for letter in page.iter().take(SAMPLE_MAX - sample.len()) {
            sample.push(serde_json::value::to_raw_value(&letter.line())?);
        }
    }
    json(ok(), &Preview { count, sample, preview: opaque::encode(&selection) })
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
    act(&state, &caller, Act::Redrive, choice.into_inner()).await
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
    act(&state, &caller, Act::Discard, choice.into_inner()).await
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Redrive,
    Discard,
}

impl Act {
    /// Whether the letter was still there.
    async fn apply(self, queue: &QueueAdmin, family: Family, id: &str) -> Result<bool, QueueError> {
        match self {
            Self::Redrive => Ok(queue.redrive(family, id).await?.is_some()),
            Self::Discard => queue.discard(family, id).await,
        }
    }

    const fn outcome(self) -> &'static str {
        match self {
            Self::Redrive => "redriven",
            Self::Discard => "discarded",
        }
    }
}

async fn act(
    state: &State,
    caller: &Caller,
    act: Act,
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

async fn act_on(state: &State, act: Act, selection: &DeadLetterSelection) -> Result<Acted, ApiError> {
    let (mut acted, mut pages) = (Acted::default(), selection.pages(&state.queue));
    while let Some(page) = pages.next().await? {
        for Letter { family, letter } in page {
            if acted.done == ITEMS_MAX {
                // Those that were changed are no longer among the dead letters.
                return Ok(Acted { next: Some(opaque::encode(selection)), ..acted });
            }
            acted.count(act.apply(&state.queue, family, &letter.id).await?);
        }
    }
    Ok(acted)
}

impl LetterName {
    fn parse(self) -> Result<(Family, String), ApiError> {
        let wrong = || ApiError::BadRequest(format!("{:?} is not the id of a dead letter", self.id));
        let (ms, number) = self.id.split_once('-').ok_or_else(wrong)?;
        let is_number = |text: &str| text.parse::<u64>().is_ok();
        if !is_number(ms) || !is_number(number) {
            return Err(wrong());
        }
        let family = named::<Family>("family", Some(&self.family))?;
        Ok((family.ok_or_else(wrong)?, self.id))
    }
}
