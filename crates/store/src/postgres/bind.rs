//! How a [`Value`] is bound in PostgreSQL.

use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;
use sqlx::{SqlSafeStr, query};

use crate::jsonb::{Jsonb, VerbatimJson};
use crate::value::Value;

pub(crate) fn bound<'q>(sql: impl SqlSafeStr, values: &'q [Value<'q>]) -> Query<'q, Postgres, PgArguments> {
    values.iter().fold(query(sql), |query, value| match value {
        Value::Text(text) => query.bind(text.as_deref()),
        Value::Json(text) => query.bind(text.as_deref().map(Jsonb)),
        Value::VerbatimJson(text) => query.bind(text.as_deref().map(VerbatimJson)),
        Value::Integer(number) => query.bind(*number),
        Value::Real(number) => query.bind(*number),
        Value::Flag(flag) => query.bind(*flag),
        Value::Time(at) => query.bind(*at),
        Value::Bytes(bytes) => query.bind(bytes.as_deref()),
    })
}
