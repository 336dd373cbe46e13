//! One list of columns per record, defined next to the record: used to insert, read and export rows.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use webhook::{ClosedSet, Family, MaybeKnown};

use crate::json_text::JsonColumns;
use crate::row::Row;
use crate::value::Value;

/// The type of a column in both dialects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// An id in a primary key, or compared with such an id.
    Key,
    /// PostgreSQL: `jsonb`.
    Json,
    /// PostgreSQL: `json`, which preserves every byte.
    VerbatimJson,
    Integer,
    Real,
    Flag,
    Time,
    Bytes,
}

/// A column's name and type.
pub(crate) type Column = (&'static str, Kind);

/// The column list of a statement.
pub(crate) fn names(columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

/// A struct whose fields are columns of one table; see [`columns!`].
pub(crate) trait Record: Sized {
    const COLUMNS: &'static [Column];
    /// The values, in the order of the columns.
    fn values(&self) -> Vec<Value<'_>>;
    fn read(row: &Row) -> sqlx::Result<Self>;
}

/// Implements [`Record`]: `field: Kind` for each field, `field as "name": Kind` where the column has another name, and
/// `body: Json + body_bytes` for bytes that go to the second column when the first cannot hold them.
macro_rules! columns {
    ($record:ident { $($field:ident $(as $name:literal)?: $kind:ident $(+ $bytes:ident)?,)+ }) => {
        impl $crate::columns::Record for $record {
            const COLUMNS: &'static [$crate::columns::Column] = &[$(
                ($crate::columns::column_name!($field $($name)?), $crate::columns::Kind::$kind),
                $((stringify!($bytes), $crate::columns::Kind::Bytes),)?
            )+];

            fn values(&self) -> Vec<$crate::value::Value<'_>> {
                let mut values = Vec::with_capacity(Self::COLUMNS.len());
                $($crate::columns::Field::write(&self.$field, $crate::columns::Kind::$kind, &mut values);)+
                values
            }

            fn read(row: &$crate::row::Row) -> sqlx::Result<Self> {
                Ok(Self { $($field: $crate::columns::Field::read(
                    row,
                    $crate::columns::column_name!($field $($name)?),
                    $crate::columns::Kind::$kind,
                )?,)+ })
            }
        }
    };
}

macro_rules! column_name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $name:literal) => {
        $name
    };
}

/// A Rust type that can be written to and read from a column.
pub(crate) trait Field: Sized {
    fn write<'a>(&'a self, kind: Kind, values: &mut Vec<Value<'a>>);
    fn read(row: &Row, column: &str, kind: Kind) -> sqlx::Result<Self>;
}

impl Field for String {
    fn write<'a>(&'a self, kind: Kind, values: &mut Vec<Value<'a>>) {
        values.push(if kind == Kind::Key { Value::key(self) } else { Value::text(self) });
    }

    fn read(row: &Row, column: &str, _: Kind) -> sqlx::Result<Self> {
        row.get(column)
    }
}

impl Field for Option<String> {
    fn write<'a>(&'a self, kind: Kind, values: &mut Vec<Value<'a>>) {
        values.push(match kind {
            Kind::Key => Value::opt_key(self.as_deref()),
            Kind::Json => Value::extracted(self.as_deref()),
            _ => Value::opt_text(self.as_deref()),
        });
    }

    fn read(row: &Row, column: &str, kind: Kind) -> sqlx::Result<Self> {
        if kind == Kind::Json { row.json(column) } else { row.get(column) }
    }
}

/// A bytes column, or a JSON column paired with a bytes column for text that JSON columns reject.
impl Field for Option<Vec<u8>> {
    fn write<'a>(&'a self, kind: Kind, values: &mut Vec<Value<'a>>) {
        write_bytes(self.as_deref(), kind, values);
    }

    fn read(row: &Row, column: &str, kind: Kind) -> sqlx::Result<Self> {
        if kind == Kind::Bytes { row.get(column) } else { row.json_or_bytes(column) }
    }
}

impl Field for Vec<u8> {
    fn write<'a>(&'a self, kind: Kind, values: &mut Vec<Value<'a>>) {
        write_bytes(Some(self), kind, values);
    }

    fn read(row: &Row, column: &str, kind: Kind) -> sqlx::Result<Self> {
        Ok(Option::<Self>::read(row, column, kind)?.unwrap_or_default())
    }
}

fn write_bytes<'a>(bytes: Option<&'a [u8]>, kind: Kind, values: &mut Vec<Value<'a>>) {
    match kind {
        Kind::Bytes => values.push(Value::bytes(bytes)),
        Kind::VerbatimJson => {
            let JsonColumns { text, bytes } = JsonColumns::of(bytes);
            values.extend([Value::VerbatimJson(text.map(Cow::Borrowed)), Value::bytes(bytes)]);
        }
        _ => values.extend(Value::json_or_bytes(bytes)),
    }
}

impl<T: ClosedSet> Field for MaybeKnown<T> {
    fn write<'a>(&'a self, _: Kind, values: &mut Vec<Value<'a>>) {
        values.push(Value::text(self.as_str()));
    }

    fn read(row: &Row, column: &str, _: Kind) -> sqlx::Result<Self> {
        row.maybe_known(column)
    }
}

impl<T: ClosedSet> Field for Option<MaybeKnown<T>> {
    fn write<'a>(&'a self, _: Kind, values: &mut Vec<Value<'a>>) {
        values.push(Value::opt_text(self.as_ref().map(MaybeKnown::as_str)));
    }

    fn read(row: &Row, column: &str, _: Kind) -> sqlx::Result<Self> {
        row.parsed(column)
    }
}

/// Types that are always written the same way, and the `Row` method that reads them.
macro_rules! fields {
    ($($field:ty: $into:path, $read:ident;)+) => {$(
        impl $crate::columns::Field for $field {
            fn write<'a>(&'a self, _: $crate::columns::Kind, values: &mut Vec<$crate::value::Value<'a>>) {
                values.push($into(*self));
            }

            fn read(row: &$crate::row::Row, column: &str, _: $crate::columns::Kind) -> sqlx::Result<Self> {
                row.$read(column)
            }
        }
    )+};
}

fields! {
    i64: Value::from, get;
    Option<i64>: Value::from, get;
    Option<f64>: Value::from, get;
    u32: Value::from, count;
    u64: Value::from, count;
    bool: Value::from, get;
    Option<bool>: Value::from, get;
    DateTime<Utc>: Value::time, required_time;
    Option<DateTime<Utc>>: Value::opt_time, time;
    Family: Value::member, member;
}

pub(crate) use {column_name, columns, fields};
