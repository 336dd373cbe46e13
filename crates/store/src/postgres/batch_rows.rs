//! Copies rows of `batch_results` into PostgreSQL: COPY in binary format, which the server reads without parsing
//! numbers or escapes. <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4>

use sqlx::PgConnection;

use crate::batch::{ResultRow, ResultValues};
use crate::columns::{self, Record as _};
use crate::jsonb::JSONB_VERSION;
use crate::value::Value;

/// Signature, flags, length of the header extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: i16 = -1;
/// The buffer is sent once it reaches this size; a single row may be larger.
const SEND_FROM_BYTES: usize = 256 << 10;

pub(crate) async fn copy(connection: &mut PgConnection, rows: &[ResultValues<'_>]) -> sqlx::Result<()> {
    let statement =
        format!("COPY batch_results ({}) FROM STDIN (FORMAT binary)", columns::names(ResultRow::COLUMNS));
    let mut copy = connection.copy_in_raw(&statement).await?;
    let mut written = HEADER.to_vec();
    for row in rows {
        written.extend_from_slice(&(row.len() as i16).to_be_bytes());
        for value in row {
            write(&mut written, value)?;
        }
        if written.len() >= SEND_FROM_BYTES {
            copy.send(written.as_slice()).await?;
            written.clear();
        }
    }
    written.extend_from_slice(&TRAILER.to_be_bytes());
    copy.send(written.as_slice()).await?;
    copy.finish().await.map(drop)
}

/// A length-prefixed field; length -1 is NULL.
fn write(row: &mut Vec<u8>, value: &Value<'_>) -> sqlx::Result<()> {
    match value {
        Value::Text(text) => field(row, &[], text.as_deref().map(str::as_bytes)),
        Value::Json(json) => field(row, &[JSONB_VERSION], json.as_deref().map(str::as_bytes)),
        Value::Bytes(bytes) => field(row, &[], bytes.as_deref()),
        Value::Integer(number) => {
            field(row, &[], number.map(i64::to_be_bytes).as_ref().map(|bytes| &bytes[..]))
        }
        Value::Flag(flag) => field(row, &[], flag.map(u8::from).as_ref().map(std::slice::from_ref)),
        Value::VerbatimJson(_) | Value::Real(_) | Value::Time(_) => {
            Err(sqlx::Error::Encode("batch_results has no such column".into()))
        }
    }
}

fn field(row: &mut Vec<u8>, prefix: &[u8], content: Option<&[u8]>) -> sqlx::Result<()> {
    let Some(content) = content else {
        row.extend_from_slice(&(-1_i32).to_be_bytes());
        return Ok(());
    };
    let length = i32::try_from(prefix.len() + content.len());
    let length = length.map_err(|error| sqlx::Error::Encode(error.into()))?;
    row.extend_from_slice(&length.to_be_bytes());
    row.extend_from_slice(prefix);
    row.extend_from_slice(content);
    Ok(())
}
