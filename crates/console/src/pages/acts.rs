//! Acts on one event or object. Each leads back to the page that it was sent from, which says what was done.

use actix_web::web::ReqData;
use actix_web::{HttpResponse, post, web};
use serde::Deserialize;

use super::address;
use super::notice::{Done, Notice};
use super::page_error::PageError;
use super::see_other;
use crate::access::Caller;
use crate::api::acts;
use crate::problem::ApiError;
use crate::state::State;

/// The form of an act on an object.
#[derive(Debug, Deserialize)]
pub(crate) struct FetchForm {
    id: String,
    /// The page that shows the button.
    back: Option<String>,
}

/// Replays an event.
#[post("/events/{id}/replay")]
pub(crate) async fn replay_event(
    state: web::Data<State>,
    caller: ReqData<Caller>,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    if !acts::events::replay_one(&state, &caller, &id).await? {
        return Err(ApiError::NotFound(format!("no event has the id {:?}", *id)).into());
    }
    let back = address::of("/events", &id);
    Ok(see_other(&Notice::one(Done::Replayed).on(&back)).finish())
}

/// Lets a worker fetch an object again.
#[post("/fetch")]
pub(crate) async fn fetch_again(
    state: web::Data<State>,
    caller: ReqData<Caller>,
    form: web::Form<FetchForm>,
) -> Result<HttpResponse, PageError> {
    let FetchForm { id, back } = form.into_inner();
    acts::objects::enqueue(&state, &caller, &id).await?;
    let found = address::Address::new("/find").with("q", &id).to_string();
    let back = back.as_deref().and_then(address::local).unwrap_or(&found);
    Ok(see_other(&Notice::one(Done::Fetching).on(back)).finish())
}
