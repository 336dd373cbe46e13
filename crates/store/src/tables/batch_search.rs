//! Bounded searches in the table `batch_results`, along its primary key.

use std::sync::LazyLock;

use sqlx::AssertSqlSafe;

use crate::batch::{ResultRow, ResultSource, StoredBatch};
use crate::batch_search::{ErrorCount, ResultKind, ResultSearch, SearchPage};
use crate::columns::Record as _;
use crate::error::StoreError;
use crate::row::Row;
use crate::store::Store;
use crate::value::Value;

/// All columns, without bodies that are too long to show.
static COLUMNS: LazyLock<String> = LazyLock::new(|| {
    let max = ResultSearch::BODY_CHARS_MAX;
    let column = |name: &'static str| match name {
        "body" => format!("CASE WHEN length(CAST(body AS TEXT)) <= {max} THEN body END AS body"),
        "body_bytes" => format!("CASE WHEN length(body_bytes) <= {max} THEN body_bytes END AS body_bytes"),
        name => name.to_owned(),
    };
    let columns: Vec<String> = ResultRow::COLUMNS.iter().map(|(name, _)| column(name)).collect();
    columns.join(", ")
});

/// In the output file only the status is read, which SQLite finds without reading the bodies.
const ERRORS: &str = "
    SELECT CAST(error_code AS TEXT) AS code, status_code, quarantined, count(*) AS lines FROM batch_errors
    WHERE project = $1 AND batch_id = $2 AND source = 'error' AND line <= $3
    GROUP BY CAST(error_code AS TEXT), status_code, quarantined
    UNION ALL
    SELECT CAST(error_code AS TEXT) AS code, status_code, quarantined, count(*) AS lines FROM batch_errors
    WHERE project = $1 AND batch_id = $2 AND source = 'output' AND line <= $3
    AND (status_code IS NULL OR status_code NOT BETWEEN 200 AND 299)
    GROUP BY CAST(error_code AS TEXT), status_code, quarantined";

impl Store {
    /// Searches a batch. A search ends after [`ResultSearch::LINES_MAX`] lines, found or not; the next one goes on.
    pub async fn search_batch(
        &self,
        batch: &StoredBatch,
        search: &ResultSearch,
    ) -> Result<SearchPage, StoreError> {
        let limit = search.limit as usize;
        let mut rows: Vec<ResultRow> = Vec::new();
        let (mut source, mut after) = search.after.unwrap_or((ResultSource::Output, 0));
        let mut lines_left = ResultSearch::LINES_MAX;
        loop {
            let end = match source {
                ResultSource::Output => batch.output_next_line - 1,
                ResultSource::Error => batch.error_next_line - 1,
            };
            let to = end.min(after.saturating_add(lines_left));
            if to > after {
                // One more tells whether another page follows.
                let page_limit = limit + 1 - rows.len();
                let (select, values) = select(batch, search, (source, after, to), page_limit);
                let read = ResultRow::read;
                let page = self.database.read("search a batch", AssertSqlSafe(select), &values, read);
                rows.extend(page.await?);
                lines_left -= to - after;
            }
            if rows.len() > limit {
                rows.truncate(limit);
                let next = rows.last().map(|row| (row.source, row.line));
                return Ok(SearchPage { rows, next });
            }
            if to < end {
                return Ok(SearchPage { rows, next: Some((source, to)) });
            }
            match source {
                ResultSource::Output => (source, after) = (ResultSource::Error, 0),
                ResultSource::Error => return Ok(SearchPage { rows, next: None }),
            }
        }
    }

    /// Why lines failed, the most frequent cause first, among the first [`ErrorCount::LINES_MAX`] lines of each file.
    pub async fn batch_error_counts(&self, batch: &StoredBatch) -> Result<Vec<ErrorCount>, StoreError> {
        let values = [
            Value::text(&batch.batch.project),
            Value::key(&batch.batch.batch_id),
            ErrorCount::LINES_MAX.into(),
        ];
        let count = |row: &Row| {
            Ok(ErrorCount {
                code: row.get("code")?,
                status_code: row.get("status_code")?,
                quarantined: row.get("quarantined")?,
                lines: row.get("lines")?,
            })
        };
        let mut counts = self.database.read("count the errors of a batch", ERRORS, &values, count).await?;
        counts.sort_by_key(|count| std::cmp::Reverse(count.lines));
        Ok(counts)
    }
}

fn select<'a>(
    batch: &'a StoredBatch,
    search: &'a ResultSearch,
    (source, after, to): (ResultSource, i64, i64),
    limit: usize,
) -> (String, Vec<Value<'a>>) {
    let mut values = vec![
        Value::text(&batch.batch.project),
        Value::key(&batch.batch.batch_id),
        Value::member(source),
        after.into(),
        to.into(),
        i64::try_from(limit).unwrap_or(i64::MAX).into(),
    ];
    let mut conditions = match search.kind {
        ResultKind::All => String::new(),
        ResultKind::Failed => " AND (status_code IS NULL OR status_code NOT BETWEEN 200 AND 299 \
                               OR error IS NOT NULL OR quarantined)"
            .to_owned(),
        ResultKind::Quarantined => " AND quarantined".to_owned(),
    };
    if let Some(status) = search.status {
        values.push(i64::from(status).into());
        conditions.push_str(&format!(" AND status_code = ${}", values.len()));
    }
    if let Some(text) = &search.text {
        values.push(Value::Text(Some(pattern(text).into())));
        conditions.push_str(&format!(
            " AND lower(coalesce(CAST(body AS TEXT), '') || coalesce(CAST(error AS TEXT), '')) \
             LIKE lower(${}) ESCAPE '!'",
            values.len()
        ));
    }
    let select = format!(
        "SELECT {} FROM batch_results WHERE project = $1 AND batch_id = $2 AND source = $3 AND line > $4 \
         AND line <= $5{conditions} ORDER BY line LIMIT $6",
        *COLUMNS
    );
    (select, values)
}

/// For `LIKE`: the text as JSON spells it.
fn pattern(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let spelled = json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap_or_default();
    let mut pattern = "%".to_owned();
    for char in spelled.chars().filter(|char| *char != '\0') {
        if matches!(char, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(char);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_searched_as_it_is_written() {
        assert_eq!(pattern("50%_off!"), "%50!%!_off!!%");
        assert_eq!(pattern("say \"hi\"\n"), "%say \\\"hi\\\"\\n%");
    }
}
