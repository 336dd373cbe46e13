//! Inserts rows of `batch_results` into SQLite: many per statement, with positional `?` parameters, which need no name
//! lookup.

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::bind::bound;
use crate::batch::{ResultRow, ResultValues};
use crate::columns::{self, Record as _};

/// SQLite accepts at most 32766 parameters per statement.
const ROWS_PER_STATEMENT: usize = 500;

pub(crate) async fn insert(connection: &mut SqliteConnection, rows: &[ResultValues<'_>]) -> sqlx::Result<()> {
    let names = columns::names(ResultRow::COLUMNS);
    for rows in rows.chunks(ROWS_PER_STATEMENT) {
        let row = format!("({})", vec!["?"; ResultRow::COLUMNS.len()].join(", "));
        let placeholders = vec![row; rows.len()].join(", ");
        let insert = format!("INSERT INTO batch_results ({names}) VALUES {placeholders}");
        bound(AssertSqlSafe(insert), rows.as_flattened()).execute(&mut *connection).await?;
    }
    Ok(())
}
