//! Export and import of all rows as JSON Lines, to move from one database to another. Raw files are not moved.
//!
//! Version 1, one JSON value per line:
//! ```text
//! {"format":"landfall-db","version":1,"schema":3}
//! {"table":"events","columns":["project",…]}
//! ["default",…]            a row, in the order of these columns: text, numbers, booleans, null; times as RFC 3339;
//!                          JSON as a string; bytes as base64
//! {"rows":1}               the number of rows of this table
//! …                        more tables
//! {"end":true}
//! ```
//! An export is written from one snapshot and imported in one transaction: completely or not at all.

use std::borrow::Cow;
use std::io::{self, BufRead, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::columns::{Column, Kind, names};
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::json_text;
use crate::row::Row;
use crate::schema::{TABLES, Table};
use crate::store::Store;
use crate::value::Value;

const FORMAT: &str = "landfall-db";
const VERSION: u32 = 1;
/// Limits of one INSERT: the number of rows, and roughly the bytes of input.
const ROWS_MAX: usize = 100;
const BYTES_MAX: usize = 1 << 20;

/// Why an export or import failed.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("could not write the export")]
    Output(#[source] io::Error),
    #[error("could not read the export")]
    Input(#[source] io::Error),
    #[error("line {line} of the export {problem}")]
    Malformed { line: u64, problem: String },
    /// Nothing was changed.
    #[error("the table {0} already has rows")]
    NotEmpty(&'static str),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u32,
    schema: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Heading {
    table: String,
    columns: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Footing {
    rows: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    end: bool,
}

/// The lines after the header.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Row(Vec<Json>),
    Heading(Heading),
    Footing(Footing),
    End(End),
}

/// Export and import of all rows.
impl Store {
    /// Writes every row of every table from one snapshot, streaming. Returns the number of rows.
    ///
    /// # Errors
    /// When the database cannot be read or `out` cannot be written.
    pub async fn export(&self, out: &mut dyn Write) -> Result<u64, TransferError> {
        let schema = self.schema_version().await?;
        put(out, &Header { format: FORMAT.to_owned(), version: VERSION, schema })?;
        let failed = || StoreError::database("read all rows");
        let mut snapshot = self.database.snapshot().await.map_err(failed())?;
        let mut total = 0;
        for table in TABLES {
            let columns = table.columns();
            let select = format!("SELECT {} FROM {} ORDER BY {}", names(&columns), table.name, table.key);
            let headed = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
            put(out, &Heading { table: table.name.to_owned(), columns: headed })?;
            let mut count = 0;
            let mut rows = snapshot.rows(select);
            while let Some(row) = rows.try_next().await.map_err(failed())? {
                put(out, &fields(&columns, &row).map_err(failed())?)?;
                count += 1;
            }
            drop(rows);
            put(out, &Footing { rows: count })?;
            total += count;
        }
        put(out, &End { end: true })?;
        out.flush().map_err(TransferError::Output)?;
        Ok(total)
    }

    /// Imports an export, completely or not at all. With `replace`, existing rows are deleted first; otherwise the
    /// database must be empty. Returns the number of rows.
    ///
    /// # Errors
    /// [`TransferError`]; nothing was changed.
    pub async fn import(&self, input: &mut dyn BufRead, replace: bool) -> Result<u64, TransferError> {
        let mut lines = Lines { input, text: String::new(), number: 0 };
        lines.header(self.schema_version().await?)?;
        let written = || StoreError::database("write all rows");
        let mut transaction = self.database.begin().await.map_err(written())?;
        for table in TABLES {
            if replace {
                let delete = format!("DELETE FROM {}", table.name);
                transaction.execute(sqlx::AssertSqlSafe(delete), &[]).await.map_err(written())?;
            } else if !is_empty(&mut transaction, table).await.map_err(written())? {
                return Err(TransferError::NotEmpty(table.name));
            }
        }
        let mut total = 0;
        loop {
            match lines.next()? {
                Line::Heading(heading) => total += read_table(&mut lines, &mut transaction, &heading).await?,
                Line::End(End { end: true }) => break,
                _ => return Err(lines.wrong("is neither a table heading nor the end")),
            }
        }
        resync_sequence(&mut transaction).await.map_err(written())?;
        transaction.commit().await.map_err(written())?;
        Ok(total)
    }
}

/// Makes new events follow the imported ones. SQLite does so without help.
async fn resync_sequence(transaction: &mut WriteTransaction) -> sqlx::Result<()> {
    match transaction {
        WriteTransaction::Sqlite(_) => Ok(()),
        WriteTransaction::Postgres(_) => {
            let behind = "SELECT setval(pg_get_serial_sequence('events', 'place'), \
                          (SELECT coalesce(max(place), 0) + 1 FROM events), FALSE)";
            transaction.execute(behind, &[]).await.map(drop)
        }
    }
}

async fn is_empty(transaction: &mut WriteTransaction, table: &Table) -> sqlx::Result<bool> {
    let select = format!("SELECT 1 AS one FROM {} LIMIT 1", table.name);
    Ok(transaction.fetch_optional(sqlx::AssertSqlSafe(select), &[]).await?.is_none())
}

/// Reads the rows of a table, up to and including their count.
async fn read_table(
    lines: &mut Lines<'_>,
    transaction: &mut WriteTransaction,
    heading: &Heading,
) -> Result<u64, TransferError> {
    let table = TABLES.iter().find(|table| table.name == heading.table);
    let table = table.ok_or_else(|| {
        lines.wrong("names an unknown table: import with the version that wrote it, or a newer one")
    })?;
    let known = table.columns();
    let named = |name: &String| known.iter().find(|(known, _)| known == name).copied();
    let columns: Option<Vec<Column>> = heading.columns.iter().map(named).collect();
    let columns = columns.ok_or_else(|| {
        lines.wrong("names an unknown column: import with the version that wrote it, or a newer one")
    })?;
    let (mut pending, mut pending_bytes, mut count) = (Vec::new(), 0, 0);
    loop {
        match lines.next()? {
            Line::Row(fields) => {
                let row: Result<Vec<Value<'static>>, String> = if fields.len() == columns.len() {
                    columns
                        .iter()
                        .zip(fields)
                        .map(|((name, kind), json)| value(*kind, json, name))
                        .collect::<Result<_, _>>()
                        .map(|row| fit_json_columns(&columns, row))
                } else {
                    Err("does not have one value per column".to_owned())
                };
                pending.push(row.map_err(|problem| lines.wrong(&problem))?);
                pending_bytes += lines.text.len();
                count += 1;
                if pending.len() >= ROWS_MAX || pending_bytes >= BYTES_MAX {
                    insert(transaction, table, &columns, &std::mem::take(&mut pending)).await?;
                    pending_bytes = 0;
                }
            }
            Line::Footing(footing) if footing.rows == count => break,
            Line::Footing(footing) => {
                let problem =
                    format!("expects {} to have {} rows, but {count} were read", table.name, footing.rows);
                return Err(lines.wrong(&problem));
            }
            Line::Heading(_) | Line::End(_) => return Err(lines.wrong("precedes the row count of the table")),
        }
    }
    insert(transaction, table, &columns, &pending).await?;
    Ok(count)
}

async fn insert(
    transaction: &mut WriteTransaction,
    table: &Table,
    columns: &[Column],
    rows: &[Vec<Value<'static>>],
) -> Result<(), TransferError> {
    if rows.is_empty() {
        return Ok(());
    }
    let row = |index: usize| {
        let first = index * columns.len() + 1;
        let placeholders: Vec<String> =
            (first..first + columns.len()).map(|number| format!("${number}")).collect();
        format!("({})", placeholders.join(", "))
    };
    let placeholders: Vec<String> = (0..rows.len()).map(row).collect();
    let sql = format!("INSERT INTO {} ({}) VALUES {}", table.name, names(columns), placeholders.join(", "));
    let values = rows.concat();
    let inserted = transaction.execute(sqlx::AssertSqlSafe(sql), &values).await;
    inserted.map_err(StoreError::database("write all rows"))?;
    Ok(())
}

/// Converts one field of an imported row.
fn value(kind: Kind, json: Json, column: &str) -> Result<Value<'static>, String> {
    let wrong = || format!("has no {kind:?} value for the column {column}");
    let text = |json| match json {
        Json::Null => Ok(None),
        Json::String(text) => Ok(Some(text)),
        _ => Err(wrong()),
    };
    Ok(match kind {
        Kind::Text => Value::Text(text(json)?.map(|text| json_text::plain(&text).into_owned().into())),
        Kind::Key => Value::Text(text(json)?.map(|id| json_text::key(&id).into_owned().into())),
        Kind::Json => Value::Json(text(json)?.map(Cow::Owned)),
        Kind::VerbatimJson => Value::VerbatimJson(text(json)?.map(Cow::Owned)),
        Kind::Integer if json.is_null() => Value::Integer(None),
        Kind::Integer => Value::Integer(Some(json.as_i64().ok_or_else(wrong)?)),
        Kind::Real if json.is_null() => Value::Real(None),
        Kind::Real => Value::Real(Some(json.as_f64().ok_or_else(wrong)?)),
        Kind::Flag if json.is_null() => Value::Flag(None),
        Kind::Flag => Value::Flag(Some(json.as_bool().ok_or_else(wrong)?)),
        Kind::Time => {
            let time = text(json)?.map(|text| text.parse::<DateTime<Utc>>()).transpose();
            Value::opt_time(time.map_err(|_| wrong())?)
        }
        Kind::Bytes => {
            let bytes = text(json)?.map(|text| STANDARD.decode(text)).transpose();
            Value::Bytes(bytes.map_err(|_| wrong())?.map(Cow::Owned))
        }
    })
}

/// JSON that no column accepts, which previous versions stored in SQLite, goes to the bytes column, or is sanitized if
/// there is none.
fn fit_json_columns<'a>(columns: &[Column], mut row: Vec<Value<'a>>) -> Vec<Value<'a>> {
    let beside = |name: &str| columns.iter().position(|(column, _)| *column == format!("{name}_bytes"));
    for (index, (name, _)) in columns.iter().enumerate() {
        let (Value::Json(json) | Value::VerbatimJson(json)) = &mut row[index] else { continue };
        let Some(text) = json.take_if(|text| !json_text::fits_json_column(text)) else { continue };
        match beside(name) {
            Some(bytes) => row[bytes] = Value::Bytes(Some(text.into_owned().into_bytes().into())),
            None => *json = Some(json_text::sanitized(&text).into_owned().into()),
        }
    }
    row
}

/// A row as one line of the export.
fn fields(columns: &[Column], row: &Row) -> sqlx::Result<Vec<Json>> {
    let field = |(name, kind): &Column| {
        Ok(match kind {
            Kind::Text | Kind::Key => row.get::<Option<String>>(name)?.into(),
            Kind::Json | Kind::VerbatimJson => row.json(name)?.into(),
            Kind::Integer => row.get::<Option<i64>>(name)?.into(),
            Kind::Real => row.get::<Option<f64>>(name)?.into(),
            Kind::Flag => row.get::<Option<bool>>(name)?.into(),
            Kind::Time => row.time(name)?.map(|at| at.to_rfc3339()).into(),
            Kind::Bytes => row.get::<Option<Vec<u8>>>(name)?.map(|bytes| STANDARD.encode(bytes)).into(),
        })
    };
    columns.iter().map(field).collect()
}

fn put(out: &mut dyn Write, line: &impl Serialize) -> Result<(), TransferError> {
    let written = serde_json::to_writer(&mut *out, line).map_err(io::Error::from);
    written.and_then(|()| out.write_all(b"\n")).map_err(TransferError::Output)
}

/// Reads an export line by line.
struct Lines<'a> {
    input: &'a mut dyn BufRead,
    text: String,
    number: u64,
}

impl Lines<'_> {
    fn header(&mut self, schema: i64) -> Result<(), TransferError> {
        self.read()?;
        let header: Header =
            serde_json::from_str(&self.text).map_err(|_| self.wrong("is not the header of an export"))?;
        if header.format != FORMAT || header.version != VERSION {
            return Err(self.wrong("has an unknown format or version"));
        }
        if header.schema > schema {
            let problem = format!(
                "has schema version {}, newer than {schema} of this database: upgrade it first",
                header.schema
            );
            return Err(self.wrong(&problem));
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Line, TransferError> {
        self.read()?;
        serde_json::from_str(&self.text).map_err(|_| self.wrong("is not valid in an export"))
    }

    fn read(&mut self) -> Result<(), TransferError> {
        self.text.clear();
        self.number += 1;
        if self.input.read_line(&mut self.text).map_err(TransferError::Input)? == 0 {
            return Err(self.wrong("is missing: the export is truncated"));
        }
        Ok(())
    }

    fn wrong(&self, problem: &str) -> TransferError {
        TransferError::Malformed { line: self.number, problem: problem.to_owned() }
    }
}
