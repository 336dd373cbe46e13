//! The results of a batch, streamed page by page: any number of them in constant memory.

use std::error::Error;
use std::ops::RangeInclusive;

use actix_web::http::header::{self, Header as _};
use actix_web::{HttpRequest, HttpResponse, get, web};
use bytes::Bytes;
use futures_util::stream::{Stream, try_unfold};
use operations::{LineFormat, ResultPages, write_head, write_lines};
use serde::Deserialize;
use store::{Found, ResultFilter, ResultSource};
use utoipa::{IntoParams, ToSchema};
use webhook::Family;

use super::{attachment, ok};
use crate::problem::{ApiError, Problem};
use crate::state::State;

/// About as many bytes are held at once, estimated from the page before.
const PAGE_BYTES: usize = 1 << 20;

/// How results are written.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ResultFormat {
    Jsonl,
    Csv,
}

/// The query of a batch's results.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ResultQuery {
    /// Only this request.
    custom_id: Option<String>,
    /// Only results with this HTTP status: one, such as 429, or a range, such as 400-499.
    #[param(pattern = "^[0-9]{1,5}(-[0-9]{1,5})?$")]
    status: Option<String>,
    /// Only failed results.
    #[serde(default)]
    #[param(default = false)]
    errors: bool,
    /// Only results after this one: its source and line, such as output:1000.
    #[param(pattern = "^(output|error):[0-9]+$")]
    after: Option<String>,
    /// Results at most: all if not given.
    #[param(minimum = 1)]
    limit: Option<i64>,
    /// jsonl or csv. If not given, what the header `Accept` prefers of application/x-ndjson and text/csv.
    #[param(inline)]
    format: Option<ResultFormat>,
}

/// The results of a batch
///
/// One JSON object or one CSV record a line, in the order of OpenAI's files. CSV has a header line, and a text that a
/// spreadsheet would run as a formula begins with `'`. While the batch is being imported: those that are stored so far.
/// A response that breaks off in the middle ends without the closing chunk, so a client sees that it is not complete.
#[utoipa::path(
    params(("id" = String, Path, description = "The batch, batch_…"), ResultQuery),
    responses(
        (
            status = 200,
            description = "The results",
            content((String = "application/x-ndjson"), (String = "text/csv"))
        ),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json")
    )
)]
#[get("/batches/{id}/results")]
pub(crate) async fn batch_results(
    state: web::Data<State>,
    request: HttpRequest,
    id: web::Path<String>,
    query: web::Query<ResultQuery>,
) -> Result<HttpResponse, ApiError> {
    state.bodies_for(&request).require()?;
    let query = query.into_inner();
    let store = state.database.reader().await?;
    let batch = store.find_object(Family::Batch, &id).await?.into_iter().find_map(|found| match found {
        Found::Batch(batch) => Some(batch),
        _ => None,
    });
    let batch =
        batch.ok_or_else(|| ApiError::NotFound(format!("no batch is stored under the id {:?}", *id)))?;
    let mut filter = ResultFilter::of(&batch.batch.project, &batch.batch.batch_id, 0);
    filter.status = query.status.as_deref().map(status_range).transpose()?;
    filter.after = query.after.as_deref().map(place).transpose()?;
    filter.custom_id = query.custom_id;
    filter.errors_only = query.errors;
    let left = match query.limit {
        Some(..=0) => return Err(ApiError::BadRequest("limit must be at least 1".to_owned())),
        limit => limit.map_or(u64::MAX, i64::unsigned_abs),
    };
    let pages = ResultPages::new(store.clone(), filter, left, PAGE_BYTES);
    let mut response = ok();
    let format = match query.format.unwrap_or_else(|| accepted(&request)) {
        ResultFormat::Jsonl => {
            response.content_type("application/x-ndjson");
            LineFormat::Jsonl
        }
        ResultFormat::Csv => {
            let name = format!("{}.csv", *id);
            response.insert_header((header::CONTENT_DISPOSITION, attachment(&name)));
            response.content_type("text/csv; charset=utf-8");
            LineFormat::SpreadsheetCsv
        }
    };
    Ok(response.streaming(lines(pages, format)))
}

/// The format that the client prefers, by its header `Accept`.
fn accepted(request: &HttpRequest) -> ResultFormat {
    let accepted = header::Accept::parse(request).map(|accept| accept.ranked()).unwrap_or_default();
    let known = accepted.iter().find_map(|kind| match kind.essence_str() {
        "text/csv" => Some(ResultFormat::Csv),
        "application/x-ndjson" | "*/*" => Some(ResultFormat::Jsonl),
        _ => None,
    });
    known.unwrap_or(ResultFormat::Jsonl)
}

/// The results as text, one page at a time.
fn lines(pages: ResultPages, format: LineFormat) -> impl Stream<Item = Result<Bytes, Box<dyn Error>>> {
    try_unfold((pages, true), move |(mut pages, is_first)| async move {
        let rows = pages.next().await?;
        let mut text = Vec::new();
        if is_first {
            write_head(format, &mut text)?;
        }
        write_lines(format, &rows, &mut text)?;
        let has_ended = text.is_empty();
        Ok((!has_ended).then(|| (Bytes::from(text), (pages, false))))
    })
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
