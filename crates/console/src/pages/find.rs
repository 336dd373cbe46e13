//! The search box: any id leads to its page.

use actix_web::http::header;
use actix_web::{HttpResponse, get, web};
use serde::Deserialize;

use super::absent::absent;
use super::frame::Nav;
use super::object_path::object_path;
use super::page_error::PageError;
use crate::problem::ApiError;
use crate::state::State;

/// Longer than any id that is stored.
const ID_BYTES_MAX: usize = 2_000;

/// The query of the search box.
#[derive(Debug, Deserialize)]
pub(crate) struct FindQuery {
    q: Option<String>,
}

/// Leads to the page of whatever has this id.
#[get("/find")]
pub(crate) async fn find_page(
    state: web::Data<State>,
    query: web::Query<FindQuery>,
) -> Result<HttpResponse, PageError> {
    let id = query.q.as_deref().unwrap_or_default().trim();
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        return Err(ApiError::BadRequest("write an id into the search box, such as resp_…".to_owned()).into());
    }
    let found = operations::find(state.database.reader().await?, id).await?;
    match found.first() {
        Some(found) => {
            let mut response = HttpResponse::SeeOther();
            Ok(response.insert_header((header::LOCATION, object_path(found))).finish())
        }
        None => absent(&state, Nav::Other, id).await,
    }
}
