//! Reads the table `batch_results` page by page. Inserts are dialect-specific: see each `batch_rows.rs`.

use std::ops::RangeInclusive;

use crate::batch::{ResultFilter, ResultRow, ResultSource};
use crate::columns::Record as _;
use crate::database::Database;
use crate::error::StoreError;
use crate::store::Store;
use crate::value::Value;

const PAGE: &str = "
    SELECT * FROM batch_results WHERE project = $1 AND batch_id = $2 AND source = $3 AND line > $4
    AND ($5 IS NULL OR status_code BETWEEN $5 AND $6)
    AND (NOT $7 OR error IS NOT NULL OR quarantined OR status_code IS NULL OR status_code NOT BETWEEN 200 AND 299)
    ORDER BY line LIMIT $8";

/// Uses the index of `custom_id`: without the `|| ''` SQLite would scan the whole batch for the few lines of one
/// `custom_id`.
const PAGE_OF_CUSTOM_ID: &str = "
    SELECT * FROM batch_results WHERE project || '' = $1 AND batch_id || '' = $2 AND source = $3 AND line > $4
    AND ($5 IS NULL OR status_code BETWEEN $5 AND $6)
    AND (NOT $7 OR error IS NOT NULL OR quarantined OR status_code IS NULL OR status_code NOT BETWEEN 200 AND 299)
    AND custom_id = $9
    ORDER BY line LIMIT $8";

impl Store {
    /// A batch's results, in file order. Each file is read along the primary key, so every page costs the same.
    pub async fn batch_results(&self, filter: &ResultFilter) -> Result<Vec<ResultRow>, StoreError> {
        let mut found = Vec::new();
        let (first_source, mut after_line) = filter.after.unwrap_or((ResultSource::Output, 0));
        let sources = match first_source {
            ResultSource::Output => &[ResultSource::Output, ResultSource::Error][..],
            ResultSource::Error => &[ResultSource::Error],
        };
        for &source in sources {
            let left = i64::from(filter.limit) - i64::try_from(found.len()).unwrap_or(i64::MAX);
            if left <= 0 {
                break;
            }
            found.extend(page(&self.database, filter, (source, after_line), left).await?);
            after_line = 0;
        }
        Ok(found)
    }
}

async fn page(
    database: &Database,
    filter: &ResultFilter,
    (source, after_line): (ResultSource, i64),
    limit: i64,
) -> Result<Vec<ResultRow>, StoreError> {
    let status =
        |end: fn(&RangeInclusive<u16>) -> &u16| filter.status.as_ref().map(|range| i64::from(*end(range)));
    let mut values = vec![
        Value::text(&filter.project),
        Value::key(&filter.batch_id),
        Value::member(source),
        after_line.into(),
        status(RangeInclusive::start).into(),
        status(RangeInclusive::end).into(),
        filter.errors_only.into(),
        limit.into(),
    ];
    let select = match &filter.custom_id {
        Some(custom_id) => {
            values.push(Value::text(custom_id));
            PAGE_OF_CUSTOM_ID
        }
        None => PAGE,
    };
    database.read("read results of a batch", select, &values, ResultRow::read).await
}
