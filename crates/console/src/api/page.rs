//! Pages of a list. A cursor names the last row of a page, so new rows move nothing.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::PagePosition;
use utoipa::ToSchema;

use super::opaque;
use crate::bodies::BodyAccess;
use crate::problem::ApiError;

const LIMIT_DEFAULT: u32 = 50;
pub(super) const LIMIT_MAX: u32 = 500;

/// A page of a list, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page {
    /// The rows.
    #[schema(value_type = Vec<Object>)]
    pub(super) data: Vec<Box<serde_json::value::RawValue>>,
    /// The value of `after` for the next page; null on the last page.
    pub(super) next: Option<String>,
}

impl Page {
    /// `rows` has one more row than `limit` if more follow.
    pub(super) fn of<T: Serialize>(
        mut rows: Vec<T>,
        limit: u32,
        bodies: BodyAccess,
        position: impl Fn(&T) -> PagePosition,
    ) -> Result<Self, ApiError> {
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| more).map(|last| encode(&position(last)));
        Ok(Self { next, ..Self::whole(&rows, bodies)? })
    }

    /// A list of one page.
    pub(super) fn whole(rows: &[impl Serialize], bodies: BodyAccess) -> Result<Self, ApiError> {
        let row = |row| bodies.row(serde_json::value::to_raw_value(row)?);
        let data = rows.iter().map(row).collect::<Result<_, _>>()?;
        Ok(Self { data, next: None })
    }
}

/// What every list takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit(pub(super) u32);

impl Limit {
    pub(super) fn of(asked: Option<u32>) -> Result<Self, ApiError> {
        let limit = asked.unwrap_or(LIMIT_DEFAULT);
        if (1..=LIMIT_MAX).contains(&limit) {
            Ok(Self(limit))
        } else {
            Err(ApiError::BadRequest(format!("limit must be from 1 to {LIMIT_MAX}")))
        }
    }

    /// One row more tells whether another page follows.
    pub(super) fn and_one(self) -> u32 {
        self.0 + 1
    }
}

#[derive(Serialize, Deserialize)]
struct Cursor(DateTime<Utc>, String);

pub(crate) fn encode(position: &PagePosition) -> String {
    opaque::encode(&Cursor(position.at, position.id.clone()))
}

pub(crate) fn decode(after: Option<&str>) -> Result<Option<PagePosition>, ApiError> {
    let wrong = || ApiError::BadRequest("after must be the value of `next` of the previous page".to_owned());
    let Some(after) = after else { return Ok(None) };
    let Cursor(at, id) = opaque::decode(after).ok_or_else(wrong)?;
    Ok(Some(PagePosition { at, id }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_anything_else_is_refused() {
        let position = PagePosition { at: Utc::now(), id: "wh_ä/\"1\"".to_owned() };
        let read = decode(Some(&encode(&position))).ok().flatten();
        assert_eq!(read, Some(position));
        for wrong in ["", "x", "bnVsbA", "WzEsMl0"] {
            assert!(matches!(decode(Some(wrong)), Err(ApiError::BadRequest(_))), "{wrong}");
        }
        assert!(matches!(decode(None), Ok(None)));
    }
}
