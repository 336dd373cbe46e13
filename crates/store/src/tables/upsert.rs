//! The one upsert of object tables: which state of an object wins, and that an equal one changes nothing.

use std::fmt::Write as _;

/// `INSERT … ON CONFLICT DO UPDATE` for a table whose key is the project and one id. Values are bound in the order of
/// the key and the columns.
///
/// A row is replaced only by a better state: terminal beats non-terminal, fetched beats embedded in an event, one with
/// a status beats a bare id, then the later one counts. The same object read again replaces nothing, so that a second
/// run leaves the row as it is, times included. A fetched batch whose files have expired still counts as fetched.
pub(super) fn upsert(table: &str, key: &str, columns: &[&str]) -> String {
    let mut sql = format!("INSERT INTO {table} (project, {key}, {}) VALUES ($1, $2", columns.join(", "));
    for number in 3..columns.len() + 3 {
        write!(sql, ", ${number}").expect("a string takes all");
    }
    write!(sql, ") ON CONFLICT (project, {key}) DO UPDATE SET project = excluded.project")
        .expect("a string takes all");
    for column in columns {
        write!(sql, ", {column} = excluded.{column}").expect("a string takes all");
    }
    let rank = |row: &str| {
        format!(
            "({row}.terminal, {row}.fetched_at IS NOT NULL, {row}.status IS NOT NULL, \
             coalesce({row}.fetched_at, {row}.received_at))"
        )
    };
    let (new, old) = (rank("excluded"), rank(table));
    write!(
        sql,
        " WHERE {new} > {old} AND (excluded.raw IS DISTINCT FROM {table}.raw \
         OR excluded.raw_bytes IS DISTINCT FROM {table}.raw_bytes \
         OR (excluded.fetched_at IS NULL) <> ({table}.fetched_at IS NULL) \
         OR (excluded.fetched_at IS NULL AND excluded.fetch_state <> {table}.fetch_state))"
    )
    .expect("a string takes all");
    sql
}
