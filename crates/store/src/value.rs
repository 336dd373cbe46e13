//! Statement parameters, independent of the dialect: each dialect binds a [`Value`] as the type of its own columns.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use webhook::ClosedSet;

use crate::json_text::{self, JsonColumns};

/// A parameter. Text is sanitized on construction, so that every column accepts it.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    Text(Option<Cow<'a, str>>),
    Integer(Option<i64>),
    Real(Option<f64>),
    Flag(Option<bool>),
    Time(Option<DateTime<Utc>>),
    /// PostgreSQL: `jsonb`, which preserves the meaning.
    Json(Option<Cow<'a, str>>),
    /// PostgreSQL: `json`, which preserves every byte.
    VerbatimJson(Option<Cow<'a, str>>),
    Bytes(Option<Cow<'a, [u8]>>),
}

impl<'a> Value<'a> {
    pub(crate) fn text(text: &'a str) -> Self {
        Self::Text(Some(json_text::plain(text)))
    }

    /// An id that is part of a primary key, or compared with one.
    pub(crate) fn key(id: &'a str) -> Self {
        Self::Text(Some(json_text::key(id)))
    }

    pub(crate) fn opt_key(id: Option<&'a str>) -> Self {
        Self::Text(id.map(json_text::key))
    }

    pub(crate) fn opt_text(text: Option<&'a str>) -> Self {
        Self::Text(text.map(json_text::plain))
    }

    /// The name of a closed set's member.
    pub(crate) fn member<T: ClosedSet>(member: T) -> Self {
        Self::Text(Some(Cow::Borrowed(member.as_str())))
    }

    pub(crate) fn time(at: DateTime<Utc>) -> Self {
        Self::Time(Some(clamp(at)))
    }

    pub(crate) fn opt_time(at: Option<DateTime<Utc>>) -> Self {
        Self::Time(at.map(clamp))
    }

    pub(crate) fn bytes(bytes: Option<&'a [u8]>) -> Self {
        Self::Bytes(bytes.map(Cow::Borrowed))
    }

    /// JSON extracted from an object.
    pub(crate) fn extracted(json: Option<&'a str>) -> Self {
        Self::Json(json.map(json_text::sanitized))
    }

    /// The pair of columns `x`, `x_bytes`.
    pub(crate) fn json_or_bytes(raw: Option<&'a [u8]>) -> [Self; 2] {
        let columns = JsonColumns::of(raw);
        [Self::Json(columns.text.map(Cow::Borrowed)), Self::bytes(columns.bytes)]
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(Some(number))
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Integer(Some(i64::from(number)))
    }
}

impl From<u64> for Value<'_> {
    /// Columns are signed: callers must reject larger counts first.
    fn from(number: u64) -> Self {
        Self::Integer(Some(i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(number: Option<i64>) -> Self {
        Self::Integer(number)
    }
}

impl From<Option<f64>> for Value<'_> {
    fn from(number: Option<f64>) -> Self {
        Self::Real(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(Some(flag))
    }
}

impl From<Option<bool>> for Value<'_> {
    fn from(flag: Option<bool>) -> Self {
        Self::Flag(flag)
    }
}

/// Clamps to the years 0000 to 9999: other years do not sort as text, and PostgreSQL does not support all of chrono's.
fn clamp(at: DateTime<Utc>) -> DateTime<Utc> {
    let day = |year, month, day| NaiveDate::from_ymd_opt(year, month, day).expect("the date exists");
    let first = day(0, 1, 1).and_time(NaiveTime::MIN).and_utc();
    let last =
        day(9999, 12, 31).and_hms_micro_opt(23, 59, 59, 999_999).expect("it is a time of day").and_utc();
    at.clamp(first, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_beyond_four_digits_are_clamped() {
        let years = [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::UNIX_EPOCH, DateTime::<Utc>::MAX_UTC]
            .map(|at| clamp(at).format("%Y").to_string());
        assert_eq!(years, ["0000", "1970", "9999"]);
    }
}
