//! The results of a batch, streamed page by page: any number of them in constant memory.

use std::ops::RangeInclusive;

use actix_web::{HttpResponse, get, web};
use bytes::Bytes;
use futures_util::stream::{Stream, try_unfold};
use serde::Deserialize;
use store::{Found, ResultFilter, ResultRow, ResultSource, Store, StoreError};
use utoipa::IntoParams;
use webhook::Family;

use super::ok;
use crate::problem::{ApiError, Problem};
use crate::state::State;

/// Rows of the first page, and of a page at most.
const FIRST_PAGE_ROWS: u32 = 100;
const PAGE_ROWS_MAX: u32 = 1000;
/// About as many bytes are held at once, estimated from the page before.
const PAGE_BYTES: usize = 1 << 20;

/// The query of a batch's results.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ResultQuery {
    /// Only this request.
    custom_id: Option<String>,
    /// Only results with this HTTP status: one, such as 429, or a range, such as 400-499.
    status: Option<String>,
    /// Only failed results.
    #[serde(default)]
    #[param(default = false)]
    errors: bool,
    /// Only results after this one: its source and line, such as output:1000.
    after: Option<String>,
    /// Results at most: all if not given.
    #[param(minimum = 1)]
    limit: Option<u64>,
}

/// The results of a batch
///
/// One JSON object a line, in the order of OpenAI's files. While the batch is being imported: those that are stored so far.
/// A response that breaks off in the middle ends without the closing chunk, so a client sees that it is not complete.
#[utoipa::path(
    params(("id" = String, Path, description = "The batch, batch_…"), ResultQuery),
    responses(
        (status = 200, content_type = "application/x-ndjson", description = "The results", body = String),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json")
    )
)]
#[get("/batches/{id}/results")]
pub(crate) async fn batch_results(
    state: web::Data<State>,
    id: web::Path<String>,
    query: web::Query<ResultQuery>,
) -> Result<HttpResponse, ApiError> {
    let query = query.into_inner();
    let store = state.database.reader().await?;
    let batch = store.find_object(Family::Batch, &id).await?.into_iter().find_map(|found| match found {
        Found::Batch(batch) => Some(batch),
        _ => None,
    });
    let batch =
        batch.ok_or_else(|| ApiError::NotFound(format!("no batch is stored under the id {:?}", *id)))?;
    let mut filter = ResultFilter::of(&batch.batch.project, &batch.batch.batch_id, FIRST_PAGE_ROWS);
    filter.status = query.status.as_deref().map(status_range).transpose()?;
    filter.after = query.after.as_deref().map(place).transpose()?;
    filter.custom_id = query.custom_id;
    filter.errors_only = query.errors;
    let left = match query.limit {
        Some(0) => return Err(ApiError::BadRequest("limit must be at least 1".to_owned())),
        limit => limit.unwrap_or(u64::MAX),
    };
    Ok(ok().content_type("application/x-ndjson").streaming(lines(store.clone(), filter, left)))
}

/// The results as JSON Lines, one page of rows at a time.
fn lines(store: Store, filter: ResultFilter, left: u64) -> impl Stream<Item = Result<Bytes, StoreError>> {
    let begin = (filter, left, FIRST_PAGE_ROWS);
    try_unfold(begin, move |(mut filter, left, rows)| {
        let store = store.clone();
        async move {
            filter.limit = rows.min(u32::try_from(left).unwrap_or(u32::MAX));
            if filter.limit == 0 {
                return Ok(None);
            }
            let page = store.batch_results(&filter).await?;
            let Some(last) = page.last() else { return Ok(None) };
            filter.after = Some((last.source, last.line));
            let text = json_lines(&page);
            let left = left.saturating_sub(page.len() as u64);
            let rows = rows_of_next(text.len(), page.len());
            Ok(Some((Bytes::from(text), (filter, left, rows))))
        }
    })
}

fn json_lines(rows: &[ResultRow]) -> Vec<u8> {
    let mut text = Vec::new();
    for row in rows {
        // Writing into memory fails only for a body that is not JSON, and such lines are quarantined as bytes.
        if serde_json::to_writer(&mut text, row).is_ok() {
            text.push(b'\n');
        }
    }
    text
}

/// Lines of a batch are usually of similar size, but can have megabytes each.
fn rows_of_next(bytes: usize, rows: usize) -> u32 {
    let rows = (PAGE_BYTES * rows).checked_div(bytes).unwrap_or(1);
    u32::try_from(rows).unwrap_or(u32::MAX).clamp(1, PAGE_ROWS_MAX)
}

fn status_range(text: &str) -> Result<RangeInclusive<u16>, ApiError> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        _ => Err(ApiError::BadRequest(
            "status must be a status such as 429, or a range such as 400-499".to_owned(),
        )),
    }
}

fn place(text: &str) -> Result<(ResultSource, i64), ApiError> {
    let place =
        text.split_once(':').and_then(|(source, line)| Some((source.parse().ok()?, line.parse().ok()?)));
    place.ok_or_else(|| {
        ApiError::BadRequest(
            "after must be a source and a line of the results, such as output:1000".to_owned(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_the_lines_the_shorter_the_page() {
        assert_eq!(
            [(100, 100), (100 << 10, 10), (0, 0)].map(|(bytes, rows)| rows_of_next(bytes, rows)),
            [1000, 102, 1]
        );
        assert_eq!(rows_of_next(50 << 20, 10), 1);
    }

    #[test]
    fn odd_places_and_statuses_are_refused() {
        assert!(matches!(status_range("400-499"), Ok(range) if range == (400..=499)));
        assert!(matches!(place("error:7"), Ok((ResultSource::Error, 7))));
        for wrong in ["", "x", "499-400", "70000", "1-2-3"] {
            assert!(status_range(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "7", "output", "output:x", "input:1"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
