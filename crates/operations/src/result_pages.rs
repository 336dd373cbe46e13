//! Reads the results of a batch in pages of bounded size.

use store::{ResultFilter, ResultRow, Store, StoreError};

/// Size of the first page, and maximum size of a page.
const FIRST_PAGE_ROWS: u32 = 100;
const PAGE_ROWS_MAX: u32 = 2000;
/// Of a row without its body.
const ROW_BYTES: usize = 200;

/// The results that match a filter, page by page.
#[derive(Debug)]
pub struct ResultPages {
    store: Store,
    filter: ResultFilter,
    rows_left: u64,
    page_rows: u32,
    page_bytes: usize,
}

impl ResultPages {
    /// Reads at most `rows_max` results. A page has about `page_bytes`, estimated from the page before.
    pub fn new(store: Store, filter: ResultFilter, rows_max: u64, page_bytes: usize) -> Self {
        Self { store, filter, rows_left: rows_max, page_rows: FIRST_PAGE_ROWS, page_bytes }
    }

    /// The next page; empty at the end.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn next(&mut self) -> Result<Vec<ResultRow>, StoreError> {
        self.filter.limit = self.page_rows.min(u32::try_from(self.rows_left).unwrap_or(u32::MAX));
        if self.filter.limit == 0 {
            return Ok(Vec::new());
        }
        let page = self.store.batch_results(&self.filter).await?;
        if let Some(last) = page.last() {
            self.filter.after = Some((last.source, last.line));
            self.rows_left = self.rows_left.saturating_sub(page.len() as u64);
            let bytes = page.iter().map(|row| row.body.as_ref().map_or(0, Vec::len) + ROW_BYTES).sum();
            self.page_rows = rows_of_next(page.len(), bytes, self.page_bytes);
        }
        Ok(page)
    }

    /// Whether `rows_max` was reached.
    pub fn is_truncated(&self) -> bool {
        self.rows_left == 0
    }
}

/// Lines of a batch are usually of similar size, but can have 5 MB each, so the size of a page must be limited.
fn rows_of_next(rows: usize, bytes: usize, page_bytes: usize) -> u32 {
    let rows = (page_bytes * rows).checked_div(bytes).unwrap_or(0);
    u32::try_from(rows).unwrap_or(u32::MAX).clamp(1, PAGE_ROWS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_the_lines_the_shorter_the_page() {
        let pages = [(100, 30_000), (100, 4_000_000), (100, 500 << 20), (0, 0)];
        let rows = pages.map(|(rows, bytes)| rows_of_next(rows, bytes, 4 << 20));
        assert_eq!(rows, [PAGE_ROWS_MAX, 104, 1, 1]);
    }
}
