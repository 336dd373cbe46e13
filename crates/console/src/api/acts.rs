//! Calls that change something, for operators only (`authorize.rs`). They do what the command does, with the same code. Acts
//! over many items take a preview first, and change only what it counted.

pub(crate) mod dead_letters;
pub(crate) mod events;
pub(crate) mod objects;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::opaque;
use crate::problem::ApiError;

/// Items that one call changes; `next` continues. A call that took minutes would end in a proxy's time-out.
const ITEMS_MAX: u64 = 5_000;
/// Items that a call may name.
const NAMED_MAX: usize = 100;
/// Items that a preview shows.
const SAMPLE_MAX: usize = 20;

/// What an act would change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Preview {
    count: u64,
    /// Some of them.
    #[schema(value_type = Vec<Object>)]
    sample: Vec<Box<RawValue>>,
    /// For the act: it changes what was counted here, and nothing that comes later.
    preview: String,
}

/// What an act changed.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Acted {
    /// How many items were changed.
    done: u64,
    /// How many no longer exist, or never did.
    gone: u64,
    /// The `preview` for the next call, if this one stopped at 5,000 items; null if all are done.
    next: Option<String>,
}

impl Acted {
    fn count(&mut self, was_there: bool) {
        if was_there {
            self.done += 1;
        } else {
            self.gone += 1;
        }
    }
}

/// Which items an act is for.
enum Chosen<N, S> {
    Named(Vec<N>),
    Previewed(S),
}

/// Either the one or the other must be there.
fn chosen<N, S: for<'a> Deserialize<'a>>(
    what: &str,
    named: Option<Vec<N>>,
    preview: Option<String>,
) -> Result<Chosen<N, S>, ApiError> {
    match (named, preview) {
        (Some(named), None) if (1..=NAMED_MAX).contains(&named.len()) => Ok(Chosen::Named(named)),
        (Some(_), None) => Err(ApiError::BadRequest(format!(
            "{what} must name from 1 to {NAMED_MAX}; for more, use a preview"
        ))),
        (None, Some(preview)) => opaque::decode(&preview).map(Chosen::Previewed).ok_or_else(|| {
            ApiError::BadRequest("preview must be the value of `preview` or `next` of an answer".to_owned())
        }),
        _ => Err(ApiError::BadRequest(format!("send either {what} or preview"))),
    }
}
