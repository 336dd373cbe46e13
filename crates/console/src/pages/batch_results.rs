//! The results of a batch: filters, and one page of rows.

use operations::model_output;
use serde::Deserialize;
use serde_json::Value;
use store::{
    ErrorCount, ResultFilter, ResultKind, ResultRow, ResultSearch, ResultSource, SearchPage, Store,
    StoreError, StoredBatch,
};

use super::address::{self, Address, Chip};
use super::facts::{self, line};
use super::page_error::PageError;
use super::quantity;
use crate::bodies::BodyAccess;
use crate::problem::ApiError;

/// Rows of a page.
const ROWS: u32 = 50;
/// Of a text that is searched for, and of a custom_id.
const TEXT_BYTES_MAX: usize = 500;

/// The query of a batch's page.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ResultsQuery {
    show: Option<String>,
    status: Option<String>,
    custom_id: Option<String>,
    text: Option<String>,
    after: Option<String>,
}

/// Filters, each in its meaning.
struct Filters {
    kind: ResultKind,
    status: Option<u16>,
    custom_id: Option<String>,
    text: Option<String>,
    after: Option<(ResultSource, i64)>,
}

/// The table of results with its filters.
pub(super) struct ResultsView {
    pub(super) chips: Vec<Chip>,
    pub(super) path: String,
    pub(super) show: &'static str,
    pub(super) status: String,
    pub(super) custom_id: String,
    pub(super) text: String,
    pub(super) rows: Vec<ResultLine>,
    pub(super) is_filtered: bool,
    /// Why there are no bodies, or why the search ended early.
    pub(super) note: Option<String>,
    pub(super) first: Option<String>,
    pub(super) next: Option<String>,
    /// Whether the next page searches on, instead of showing what was found already.
    pub(super) searches_on: bool,
}

/// One result.
pub(super) struct ResultLine {
    pub(super) line: String,
    pub(super) custom_id: String,
    /// All of it, as JSON.
    pub(super) href: Option<String>,
    pub(super) status: String,
    pub(super) is_failed: bool,
    pub(super) result: String,
    pub(super) input_tokens: String,
    pub(super) output_tokens: String,
}

impl ResultsView {
    pub(super) async fn of(
        store: &Store,
        batch: &StoredBatch,
        errors: &[ErrorCount],
        bodies: BodyAccess,
        query: ResultsQuery,
    ) -> Result<Self, PageError> {
        let filters = Filters::of(query)?;
        if filters.text.is_some() {
            bodies.require()?;
        }
        let (page, is_too_slow) = match read(store, batch, &filters).await {
            Err(error) if error.is_too_slow() => (SearchPage { rows: Vec::new(), next: None }, true),
            page => (page?, false),
        };
        let path = address::of("/batches", &batch.batch.batch_id);
        let address = filters.address(&path);
        let withheld = bodies.require().err().map(|why| why.to_string());
        let too_slow = "The database took too long for this search; try a custom_id, or landfall results.";
        let place = |(source, line): (ResultSource, i64)| format!("{source}:{line}");
        Ok(Self {
            chips: chips(&path, batch, errors, &filters),
            is_filtered: address.is_filtered(),
            first: filters.after.map(|_| address.to_string()),
            next: page.next.map(|next| address.clone().with("after", &place(next)).to_string()),
            searches_on: page.rows.len() < ROWS as usize,
            rows: page.rows.iter().map(|row| ResultLine::of(row, bodies)).collect(),
            note: if is_too_slow { Some(too_slow.to_owned()) } else { withheld },
            show: show_name(filters.kind),
            status: filters.status.map(|status| status.to_string()).unwrap_or_default(),
            custom_id: filters.custom_id.unwrap_or_default(),
            text: filters.text.unwrap_or_default(),
            path,
        })
    }
}

/// A `custom_id` has an index; everything else is searched line by line.
async fn read(store: &Store, batch: &StoredBatch, filters: &Filters) -> Result<SearchPage, StoreError> {
    let Some(custom_id) = &filters.custom_id else {
        let search = ResultSearch {
            kind: filters.kind,
            status: filters.status,
            text: filters.text.clone(),
            after: filters.after,
            limit: ROWS,
        };
        return store.search_batch(batch, &search).await;
    };
    let mut filter = ResultFilter::of(&batch.batch.project, &batch.batch.batch_id, ROWS);
    filter.custom_id = Some(custom_id.clone());
    filter.errors_only = filters.kind == ResultKind::Failed;
    filter.status = filters.status.map(|status| status..=status);
    filter.after = filters.after;
    let rows = store.batch_results(&filter).await?;
    let next = rows.last().filter(|_| rows.len() == ROWS as usize).map(|row| (row.source, row.line));
    Ok(SearchPage { rows, next })
}

fn show_name(kind: ResultKind) -> &'static str {
    match kind {
        ResultKind::All => "",
        ResultKind::Failed => "failed",
        ResultKind::Quarantined => "quarantined",
    }
}

impl Filters {
    fn of(query: ResultsQuery) -> Result<Self, ApiError> {
        // A form sends its empty fields too.
        let given = |value: Option<String>| value.filter(|value| !value.trim().is_empty());
        let wrong = |text: &str| ApiError::BadRequest(text.to_owned());
        let kind = match given(query.show).as_deref() {
            None => ResultKind::All,
            Some("failed") => ResultKind::Failed,
            Some("quarantined") => ResultKind::Quarantined,
            Some(_) => return Err(wrong("show must be failed or quarantined")),
        };
        let status = given(query.status).map(|status| {
            let code = status.trim().parse().ok().filter(|code| (100..=599).contains(code));
            code.ok_or_else(|| wrong("status must be an HTTP status such as 429"))
        });
        let after = given(query.after).map(|after| {
            let place = after
                .split_once(':')
                .and_then(|(source, line)| Some((source.parse().ok()?, line.parse().ok()?)));
            place.ok_or_else(|| wrong("after must be a file and a line of the results, such as output:1000"))
        });
        let (custom_id, text) = (given(query.custom_id), given(query.text));
        if [&custom_id, &text].into_iter().flatten().any(|value| value.len() > TEXT_BYTES_MAX) {
            return Err(wrong("custom_id and text have at most 500 bytes here; see landfall results"));
        }
        if custom_id.is_some() && text.is_some() {
            return Err(wrong("search either by custom_id or by text"));
        }
        Ok(Self { kind, status: status.transpose()?, custom_id, text, after: after.transpose()? })
    }

    fn address(&self, path: &str) -> Address {
        let status = self.status.map(|status| status.to_string());
        Address::new(path.to_owned())
            .with("show", show_name(self.kind))
            .with_option("status", status.as_deref())
            .with_option("custom_id", self.custom_id.as_deref())
            .with_option("text", self.text.as_deref())
    }
}

/// All, the failed ones, each frequent status, and those that are quarantined.
fn chips(path: &str, batch: &StoredBatch, errors: &[ErrorCount], filters: &Filters) -> Vec<Chip> {
    let chip = |text: String, show: &str, status: Option<u16>| Chip {
        href: Address::new(path.to_owned())
            .with("show", show)
            .with_option("status", status.map(|status| status.to_string()).as_deref())
            .to_string(),
        text,
        is_current: show_name(filters.kind) == show
            && filters.status == status
            && filters.custom_id.is_none()
            && filters.text.is_none(),
    };
    let count = |number: i64| quantity::count(number);
    let failed: i64 = errors.iter().map(|error| error.lines).sum();
    let more = if has_more_lines(batch) { "+" } else { "" };
    let mut chips = vec![
        chip(format!("All {}", count(batch.rows_stored)), "", None),
        chip(format!("Failed {}{more}", count(failed)), "failed", None),
    ];
    let mut statuses: Vec<(u16, i64)> = Vec::new();
    for error in errors {
        let Some(status) = error.status_code.and_then(|status| u16::try_from(status).ok()) else { continue };
        match statuses.iter_mut().find(|(known, _)| *known == status) {
            Some((_, lines)) => *lines += error.lines,
            None => statuses.push((status, error.lines)),
        }
    }
    let known = statuses.into_iter().filter(|(status, _)| (100..=599).contains(status));
    chips.extend(
        known
            .take(6)
            .map(|(status, lines)| chip(format!("{status} · {}{more}", count(lines)), "", Some(status))),
    );
    if batch.rows_quarantined > 0 {
        chips.push(chip(format!("Quarantined {}", count(batch.rows_quarantined)), "quarantined", None));
    }
    chips
}

/// Whether the batch has lines whose errors are not counted.
pub(super) fn has_more_lines(batch: &StoredBatch) -> bool {
    batch.output_next_line.max(batch.error_next_line) - 1 > ErrorCount::LINES_MAX
}

impl ResultLine {
    fn of(row: &ResultRow, bodies: BodyAccess) -> Self {
        let count = |number: Option<i64>| number.map_or_else(|| "–".to_owned(), quantity::count);
        let is_success = row.status_code.is_some_and(|status| (200..=299).contains(&status));
        Self {
            line: format!("{} {}", row.source, quantity::count(row.line)),
            custom_id: row.custom_id.clone().unwrap_or_default(),
            href: row.custom_id.as_deref().filter(|_| bodies.require().is_ok()).map(|custom_id| {
                let results = format!("{}/results", address::of("/api/v1/batches", &row.batch_id));
                Address::new(results).with("custom_id", custom_id).to_string()
            }),
            status: row.status_code.map_or_else(|| "–".to_owned(), |status| status.to_string()),
            is_failed: !is_success || row.error.is_some() || row.quarantined,
            result: line(&result(row, bodies)),
            input_tokens: count(row.input_tokens),
            output_tokens: count(row.output_tokens),
        }
    }
}

/// A result on one line. The only place where this page reads what a model wrote.
fn result(row: &ResultRow, bodies: BodyAccess) -> String {
    let error = facts::error(row.error.as_deref());
    if let Err(why) = bodies.require() {
        return error.unwrap_or_else(|| why.to_string());
    }
    let body = row.body.as_deref();
    let prefix = if row.quarantined { "quarantined: " } else { "" };
    let text = match (error, body) {
        (Some(error), _) => error,
        (None, Some(body)) => error_of_body(body).unwrap_or_else(|| model_output::summary(body)),
        (None, None) => "too long to be shown here".to_owned(),
    };
    format!("{prefix}{}", text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A request that OpenAI refused has the error in its body.
fn error_of_body(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let error = body.get("error").filter(|error| error.is_object())?;
    Some(operations::error_message(&error.to_string())).filter(|text| !text.is_empty())
}
