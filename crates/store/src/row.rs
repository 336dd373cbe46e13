//! A row of either dialect, read through one interface: closed sets by name, JSON as text, bodies from their two
//! columns.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{Decode, Row as _, Type, ValueRef as _};
use webhook::states::UnknownName;
use webhook::{ClosedSet, MaybeKnown};

use crate::jsonb::JsonText;

/// One row of a query result.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// A text, number or flag column; `Option` when nullable.
pub(crate) trait Column<'r>:
    Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{
}
impl<'r, T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>> Column<'r> for T {}

impl Row {
    pub(crate) fn get<'r, T: Column<'r>>(&'r self, column: &str) -> sqlx::Result<T> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }

    /// A count; columns are signed.
    pub(crate) fn count<T: TryFrom<i64, Error = std::num::TryFromIntError>>(
        &self,
        column: &str,
    ) -> sqlx::Result<T> {
        let number: i64 = self.get(column)?;
        T::try_from(number)
            .map_err(|error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: error.into() })
    }

    pub(crate) fn time(&self, column: &str) -> sqlx::Result<Option<DateTime<Utc>>> {
        match self {
            Self::Sqlite(_) => self.parsed(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }

    pub(crate) fn required_time(&self, column: &str) -> sqlx::Result<DateTime<Utc>> {
        required(column, self.time(column)?)
    }

    /// A nullable text column, parsed.
    pub(crate) fn parsed<T>(&self, column: &str) -> sqlx::Result<Option<T>>
    where
        T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
    {
        let text: Option<&str> = self.get(column)?;
        let parse = |text: &str| {
            text.parse::<T>()
                .map_err(|error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: error.into() })
        };
        text.map(parse).transpose()
    }

    /// A member of a closed set, or an unknown name that another version wrote.
    pub(crate) fn maybe_known<T: ClosedSet>(&self, column: &str) -> sqlx::Result<MaybeKnown<T>> {
        required(column, self.parsed(column)?)
    }

    /// A member of a closed set; fails on unknown names.
    pub(crate) fn member<T: FromStr<Err = UnknownName>>(&self, column: &str) -> sqlx::Result<T> {
        required(column, self.parsed(column)?)
    }

    /// JSON as text.
    pub(crate) fn json(&self, column: &str) -> sqlx::Result<Option<String>> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => Ok(row.try_get::<Option<JsonText>, _>(column)?.map(|json| json.0)),
        }
    }

    /// The bytes of the pair of columns `x`, `x_bytes`.
    pub(crate) fn json_or_bytes(&self, json: &str) -> sqlx::Result<Option<Vec<u8>>> {
        let is_null = match self {
            Self::Sqlite(row) => row.try_get_raw(json)?.is_null(),
            Self::Postgres(row) => row.try_get_raw(json)?.is_null(),
        };
        if is_null {
            return self.get(&format!("{json}_bytes"));
        }
        Ok(self.json(json)?.map(String::into_bytes))
    }
}

fn required<T>(column: &str, value: Option<T>) -> sqlx::Result<T> {
    value.ok_or_else(|| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: sqlx::error::UnexpectedNullError.into(),
    })
}
