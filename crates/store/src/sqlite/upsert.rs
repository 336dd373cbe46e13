//! The one upsert of object tables: which state of an object wins, and that an equal one changes nothing.

/// `INSERT … ON CONFLICT DO UPDATE` for a table whose key is the project and one id. Values are bound in the order of
/// the key and the columns.
///
/// A row is replaced only by a better state: terminal beats non-terminal, fetched beats embedded in an event, one with
/// a status beats a bare id, then the later one counts. The same object read again replaces nothing, so that a second
/// run leaves the row as it is, times included. A fetched batch whose files have expired still counts as fetched.
macro_rules! upsert {
    ($table:literal, $key:literal, [$($column:literal),+ $(,)?]) => {
        concat!(
            "INSERT INTO ", $table, " (project, ", $key, $(", ", $column,)+ ") VALUES (?, ?",
            $($crate::sqlite::upsert::placeholder!($column),)+
            ") ON CONFLICT (project, ", $key, ") DO UPDATE SET project = excluded.project",
            $(", ", $column, " = excluded.", $column,)+
            " WHERE (excluded.terminal, excluded.fetched_at IS NOT NULL, excluded.status IS NOT NULL,",
            " coalesce(excluded.fetched_at, excluded.received_at)) > (",
            $table, ".terminal, ", $table, ".fetched_at IS NOT NULL, ", $table, ".status IS NOT NULL,",
            " coalesce(", $table, ".fetched_at, ", $table, ".received_at))",
            " AND (excluded.raw IS DISTINCT FROM ", $table, ".raw",
            " OR excluded.raw_bytes IS DISTINCT FROM ", $table, ".raw_bytes",
            " OR (excluded.fetched_at IS NULL) <> (", $table, ".fetched_at IS NULL)",
            " OR (excluded.fetched_at IS NULL AND excluded.fetch_state <> ", $table, ".fetch_state))",
        )
    };
}

macro_rules! placeholder {
    ($column:literal) => {
        ", ?"
    };
}

pub(super) use {placeholder, upsert};
