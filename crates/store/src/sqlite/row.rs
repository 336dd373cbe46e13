//! Between Rust's types and SQLite's: times as fixed-width text, closed sets by name, bodies out of their two columns.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, ValueRef as _};
use webhook::states::UnknownName;

/// `2026-11-23T20:02:27.000000Z`. Years that do not have four digits would no longer sort: they become the nearest.
pub(super) fn sql_time(at: DateTime<Utc>) -> String {
    let day = |year, month, day| NaiveDate::from_ymd_opt(year, month, day).expect("it is in the calendar");
    let first = day(0, 1, 1).and_time(NaiveTime::MIN).and_utc();
    let last =
        day(9999, 12, 31).and_hms_micro_opt(23, 59, 59, 999_999).expect("it is a time of day").and_utc();
    at.clamp(first, last).format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// A column of text that may be missing, as a type that is written as text.
pub(super) fn parsed<T>(row: &SqliteRow, column: &str) -> sqlx::Result<Option<T>>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: Option<&str> = row.try_get(column)?;
    let parse = |text: &str| {
        text.parse::<T>()
            .map_err(|error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: error.into() })
    };
    text.map(parse).transpose()
}

pub(super) fn time(row: &SqliteRow, column: &str) -> sqlx::Result<Option<DateTime<Utc>>> {
    parsed(row, column)
}

pub(super) fn required_time(row: &SqliteRow, column: &str) -> sqlx::Result<DateTime<Utc>> {
    required(column, time(row, column)?)
}

/// A member of a closed set.
pub(super) fn member<T: FromStr<Err = UnknownName>>(row: &SqliteRow, column: &str) -> sqlx::Result<T> {
    required(column, parsed(row, column)?)
}

fn required<T>(column: &str, value: Option<T>) -> sqlx::Result<T> {
    value.ok_or_else(|| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: sqlx::error::UnexpectedNullError.into(),
    })
}

/// The bytes of a pair of columns `x`, `x_bytes`.
pub(super) fn bytes(row: &SqliteRow, [text, bytes]: [&str; 2]) -> sqlx::Result<Option<Vec<u8>>> {
    if row.try_get_raw(text)?.is_null() {
        return row.try_get(bytes);
    }
    Ok(Some(row.try_get::<String, _>(text)?.into_bytes()))
}

pub(super) const RAW: [&str; 2] = ["raw", "raw_bytes"];
pub(super) const BODY: [&str; 2] = ["body", "body_bytes"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_fixed_width_and_sort_as_text() {
        let at = |secs, nanos| sql_time(DateTime::from_timestamp(secs, nanos).unwrap());
        assert_eq!(at(1_795_464_147, 0), "2026-11-23T20:02:27.000000Z");
        assert_eq!(at(1_795_464_147, 1_999), "2026-11-23T20:02:27.000001Z");
        let text = [
            sql_time(DateTime::<Utc>::MIN_UTC),
            at(-1, 0),
            at(0, 0),
            at(0, 1000),
            sql_time(DateTime::<Utc>::MAX_UTC),
        ];
        assert!(text.is_sorted() && text.iter().all(|text| text.len() == 27), "{text:?}");
    }
}
