//! Builds INSERT statements, and upserts that resolve conflicts with existing rows.

use crate::columns::{Column, names};
use crate::schema::Table;

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
    let placeholders: Vec<String> = (1..=columns.len()).map(|number| format!("${number}")).collect();
    format!("INSERT INTO {} ({}) VALUES ({})", table.name, names(columns), placeholders.join(", "))
}

/// An upsert on the table's key.
pub(super) fn upsert(table: &Table, columns: &[Column], existing: Existing) -> String {
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
    let insert = insert(table, columns);
    format!("{insert} ON CONFLICT ({key}) DO UPDATE SET {}{condition}", set.join(", "))
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
