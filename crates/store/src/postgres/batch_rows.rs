//! Rows of `batch_results` on their way into PostgreSQL: COPY in its binary format, which the server reads without
//! parsing numbers or escapes. <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4>

use sqlx::PgConnection;

use crate::batch::{BatchChunk, BatchResult};
use crate::json_text::{key, mended, plain};
use crate::jsonb::JSONB_VERSION;

const COPY: &str = "COPY batch_results (project, batch_id, source, line, custom_id, status_code, request_id, body, \
                    body_bytes, error, input_tokens, output_tokens, quarantined) FROM STDIN (FORMAT binary)";
const COLUMNS: i16 = 13;
/// Signature, flags, length of the header's extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: i16 = -1;
/// What is written is sent on from this size on; one row may be larger.
const SEND_FROM_BYTES: usize = 256 << 10;

/// How many of the rows no JSON column holds.
pub(crate) async fn copy(
    connection: &mut PgConnection,
    chunk: &BatchChunk,
    results: &[BatchResult],
) -> sqlx::Result<i64> {
    let mut quarantined = 0;
    let mut copy = connection.copy_in_raw(COPY).await?;
    let mut rows = Tuples(HEADER.to_vec());
    for row in results {
        let body = row.columns();
        quarantined += i64::from(row.quarantined || body.bytes.is_some());
        rows.begin();
        rows.text(Some(&plain(&chunk.project)))?;
        rows.text(Some(&key(&chunk.batch_id)))?;
        rows.text(Some(chunk.source.as_str()))?;
        rows.integer(Some(row.line));
        rows.text(row.custom_id.as_deref().map(plain).as_deref())?;
        rows.integer(row.status_code);
        rows.text(row.request_id.as_deref().map(plain).as_deref())?;
        rows.jsonb(body.text)?;
        rows.bytes(body.bytes)?;
        rows.jsonb(row.error.as_deref().map(mended).as_deref())?;
        rows.integer(row.input_tokens);
        rows.integer(row.output_tokens);
        rows.flag(row.quarantined);
        if rows.0.len() >= SEND_FROM_BYTES {
            copy.send(rows.0.as_slice()).await?;
            rows.0.clear();
        }
    }
    rows.0.extend_from_slice(&TRAILER.to_be_bytes());
    copy.send(rows.0.as_slice()).await?;
    copy.finish().await?;
    Ok(quarantined)
}

/// Rows in the binary format: each field with its length before it, -1 for NULL.
struct Tuples(Vec<u8>);

impl Tuples {
    fn begin(&mut self) {
        self.0.extend_from_slice(&COLUMNS.to_be_bytes());
    }

    fn length(&mut self, bytes: usize) -> sqlx::Result<()> {
        let length = i32::try_from(bytes).map_err(|error| sqlx::Error::Encode(error.into()))?;
        self.0.extend_from_slice(&length.to_be_bytes());
        Ok(())
    }

    fn null(&mut self) {
        self.0.extend_from_slice(&(-1_i32).to_be_bytes());
    }

    fn bytes(&mut self, bytes: Option<&[u8]>) -> sqlx::Result<()> {
        match bytes {
            None => self.null(),
            Some(bytes) => {
                self.length(bytes.len())?;
                self.0.extend_from_slice(bytes);
            }
        }
        Ok(())
    }

    fn text(&mut self, text: Option<&str>) -> sqlx::Result<()> {
        self.bytes(text.map(str::as_bytes))
    }

    fn jsonb(&mut self, text: Option<&str>) -> sqlx::Result<()> {
        match text {
            None => self.null(),
            Some(text) => {
                self.length(text.len() + 1)?;
                self.0.push(JSONB_VERSION);
                self.0.extend_from_slice(text.as_bytes());
            }
        }
        Ok(())
    }

    fn integer(&mut self, number: Option<i64>) {
        match number {
            None => self.null(),
            Some(number) => {
                self.0.extend_from_slice(&8_i32.to_be_bytes());
                self.0.extend_from_slice(&number.to_be_bytes());
            }
        }
    }

    fn flag(&mut self, flag: bool) {
        self.0.extend_from_slice(&1_i32.to_be_bytes());
        self.0.push(u8::from(flag));
    }
}
