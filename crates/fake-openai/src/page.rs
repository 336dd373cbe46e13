//! Pagination as in the OpenAI API: `{"object":"list","data":[…],"first_id","last_id","has_more"}`; the next page is
//! requested with `after=<last id>`.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::api_error::ApiError;
use crate::query::Query;

/// The pagination rules of one list endpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListRules {
    pub(crate) limit_default: usize,
    pub(crate) limit_max: usize,
    pub(crate) order: Ordering,
    /// Lists of fine-tuning jobs and their events have no `first_id` and `last_id`.
    pub(crate) with_ids: bool,
}

/// The order of a list, and whether `order=` changes it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ordering {
    NewestFirst,
    /// `order=asc|desc`, with this default.
    ByParameter {
        newest_first_by_default: bool,
    },
}

/// One object of a list.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) raw: Arc<RawValue>,
    /// Sorts the list; the second part breaks ties by insertion order.
    pub(crate) sort_key: (i64, u64),
}

#[derive(Serialize)]
struct Page<'a> {
    object: &'static str,
    data: Vec<&'a RawValue>,
    #[serde(flatten)]
    ids: Option<PageIds<'a>>,
    has_more: bool,
}

#[derive(Serialize)]
struct PageIds<'a> {
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

/// The page of `items` that `query` requests, as JSON.
pub(crate) fn page(mut items: Vec<Item>, query: &Query, rules: ListRules) -> Result<String, ApiError> {
    let limit = limit(query, rules)?;
    let newest_first = match rules.order {
        Ordering::NewestFirst => true,
        Ordering::ByParameter { newest_first_by_default } => {
            query.one_of("order", &["asc", "desc"])?.map_or(newest_first_by_default, |order| order == "desc")
        }
    };
    items.sort_by_key(|item| item.sort_key);
    if newest_first {
        items.reverse();
    }
    let start = match query.get("after").filter(|after| !after.is_empty()) {
        None => 0,
        Some(after) => {
            let index = items.iter().position(|item| item.id == after);
            index.ok_or_else(|| ApiError::unknown_cursor(after))? + 1
        }
    };
    let end = items.len().min(start + limit);
    let shown = &items[start..end];
    let page = Page {
        object: "list",
        data: shown.iter().map(|item| &*item.raw).collect(),
        ids: rules.with_ids.then(|| PageIds {
            first_id: shown.first().map(|item| item.id.as_str()),
            last_id: shown.last().map(|item| item.id.as_str()),
        }),
        has_more: end < items.len(),
    };
    Ok(serde_json::to_string(&page).expect("raw JSON and strings always serialize"))
}

fn limit(query: &Query, rules: ListRules) -> Result<usize, ApiError> {
    let Some(given) = query.get("limit") else { return Ok(rules.limit_default) };
    match given.parse::<usize>() {
        Err(_) => Err(ApiError::not_an_integer("limit", given)),
        Ok(0) => Err(ApiError::too_small("limit", 1, 0)),
        Ok(limit) if limit > rules.limit_max => Err(ApiError::too_large("limit", rules.limit_max, limit)),
        Ok(limit) => Ok(limit),
    }
}
