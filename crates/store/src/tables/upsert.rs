//! Builds INSERT statements of one or many rows, and upserts that resolve conflicts with existing rows.

use crate::columns::{Column, names};
use crate::database::WriteTransaction;
use crate::schema::Table;
use crate::value::Value;

/// How an upsert treats an existing row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// The new row replaces it.
    Replace,
    /// NULLs in the new row keep the existing values.
    Complete,
    /// An object's row is replaced only by a better state: terminal beats non-terminal, fetched beats embedded in an
    /// event, a row with a status beats a bare id, then the later one wins. Reading the same object again replaces
    /// nothing, so that a second run leaves the row unchanged, including its times. A fetched batch whose files have
    /// expired still counts as fetched.
    Improve,
}

/// An INSERT whose parameters are in the order of the columns.
pub(super) fn insert(table: &Table, columns: &[Column]) -> String {
    insert_many(table, columns, 1)
}

/// The same for this many rows; the parameters are in the order of the rows.
fn insert_many(table: &Table, columns: &[Column], rows: usize) -> String {
    let row = |row: usize| {
        let first = row * columns.len() + 1;
        let placeholders: Vec<String> = (first..first + columns.len()).map(|n| format!("${n}")).collect();
        format!("({})", placeholders.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!("INSERT INTO {} ({}) VALUES {}", table.name, names(columns), rows.join(", "))
}

/// An upsert on the table's key.
pub(super) fn upsert(table: &Table, columns: &[Column], existing: Existing) -> String {
    insert(table, columns) + &on_conflict(table, columns, existing)
}

/// The end of an upsert on the table's key.
pub(super) fn on_conflict(table: &Table, columns: &[Column], existing: Existing) -> String {
    let Table { name, key, .. } = table;
    let set = |column: &str| match existing {
        Existing::Replace | Existing::Improve => format!("{column} = excluded.{column}"),
        Existing::Complete => format!("{column} = coalesce(excluded.{column}, {name}.{column})"),
    };
    let others = columns.iter().filter(|(column, _)| key.split(", ").all(|part| part != *column));
    let set: Vec<String> = others.map(|(column, _)| set(column)).collect();
    let condition = match existing {
        Existing::Replace | Existing::Complete => String::new(),
        Existing::Improve => better(name),
    };
    format!(" ON CONFLICT ({key}) DO UPDATE SET {}{condition}", set.join(", "))
}

/// Few sizes, so that each statement is prepared once per connection; and small ones, because SQLite looks each parameter
/// up among all of its statement.
const ROWS_PER_STATEMENT: [usize; 3] = [16, 4, 1];

/// One INSERT for any number of rows.
pub(super) struct ManyRows {
    columns: usize,
    /// In the order of [`ROWS_PER_STATEMENT`].
    statements: [String; 3],
}

impl ManyRows {
    /// `conflict` is the end of the statement: what happens to existing rows.
    pub(super) fn new(table: &Table, columns: &[Column], conflict: &str) -> Self {
        let statements = ROWS_PER_STATEMENT.map(|rows| insert_many(table, columns, rows) + conflict);
        Self { columns: columns.len(), statements }
    }

    /// Writes the rows in their order. A key may occur only once: a statement cannot change the same row twice.
    pub(super) async fn write(
        &'static self,
        transaction: &mut WriteTransaction,
        rows: &[Value<'_>],
    ) -> sqlx::Result<()> {
        let mut rest = rows;
        for (statement, rows) in self.statements.iter().zip(ROWS_PER_STATEMENT) {
            while rest.len() >= rows * self.columns {
                let (these, others) = rest.split_at(rows * self.columns);
                transaction.execute(statement.as_str(), these).await?;
                rest = others;
            }
        }
        debug_assert!(rest.is_empty(), "each row has a value for every column");
        Ok(())
    }
}

/// See [`Existing::Improve`].
fn better(table: &str) -> String {
    let rank = |row: &str| {
        format!(
            "({row}.terminal, {row}.fetched_at IS NOT NULL, {row}.status IS NOT NULL, \
             coalesce({row}.fetched_at, {row}.received_at))"
        )
    };
    let (new, old) = (rank("excluded"), rank(table));
    format!(
        " WHERE {new} > {old} AND (excluded.raw IS DISTINCT FROM {table}.raw \
         OR excluded.raw_bytes IS DISTINCT FROM {table}.raw_bytes \
         OR (excluded.fetched_at IS NULL) <> ({table}.fetched_at IS NULL) \
         OR (excluded.fetched_at IS NULL AND excluded.fetch_state <> {table}.fetch_state))"
    )
}
