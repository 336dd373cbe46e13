//! How a [`Value`] is bound in SQLite: times as fixed-width text, flags as 0 and 1, JSON as text.

use chrono::{DateTime, Utc};
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments};
use sqlx::{SqlSafeStr, query};

use crate::value::Value;

pub(crate) fn bound<'q>(sql: impl SqlSafeStr, values: &'q [Value<'q>]) -> Query<'q, Sqlite, SqliteArguments> {
    values.iter().fold(query(sql), |query, value| match value {
        Value::Text(text) | Value::Json(text) | Value::VerbatimJson(text) => query.bind(text.as_deref()),
        Value::Integer(number) => query.bind(*number),
        Value::Real(number) => query.bind(*number),
        Value::Flag(flag) => query.bind(*flag),
        Value::Time(at) => query.bind(at.map(fixed_width)),
        Value::Bytes(bytes) => query.bind(bytes.as_deref()),
    })
}

/// Formats as `2026-11-23T20:02:27.000000Z`, which sorts as text.
fn fixed_width(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_fixed_width_and_sort_as_text() {
        let at = |secs, nanos| fixed_width(DateTime::from_timestamp(secs, nanos).unwrap());
        assert_eq!(at(1_795_464_147, 0), "2026-11-23T20:02:27.000000Z");
        assert_eq!(at(1_795_464_147, 1_999), "2026-11-23T20:02:27.000001Z");
        let text =
            [at(-62_167_219_200, 0), at(-1, 0), at(0, 0), at(0, 1000), at(253_402_300_799, 999_999_000)];
        assert!(text.is_sorted() && text.iter().all(|text| text.len() == 27), "{text:?}");
    }
}
