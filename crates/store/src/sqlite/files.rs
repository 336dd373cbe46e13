//! The table `files`: one row a raw file. The same file again changes nothing.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::Sqlite;
use super::row::{self, sql_time};
use crate::files::FileRecord;
use crate::json_text::plain;

const UPSERT: &str = "
    INSERT INTO files
        (project, file_id, object_id, purpose, filename, bytes, sha256, location, created_at, expires_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (project, file_id) DO UPDATE SET
        object_id = excluded.object_id, purpose = excluded.purpose, filename = excluded.filename,
        bytes = excluded.bytes, sha256 = excluded.sha256, location = excluded.location,
        created_at = excluded.created_at, expires_at = excluded.expires_at";

pub(crate) async fn save(sqlite: &Sqlite, file: &FileRecord) -> sqlx::Result<()> {
    let bytes = i64::try_from(file.bytes).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let mut transaction = sqlite.begin().await?;
    sqlx::query(UPSERT)
        .bind(&file.project)
        .bind(plain(&file.file_id))
        .bind(plain(&file.object_id))
        .bind(file.purpose.as_deref().map(plain))
        .bind(file.filename.as_deref().map(plain))
        .bind(bytes)
        .bind(&file.sha256)
        .bind(&file.location)
        .bind(file.created_at.map(sql_time))
        .bind(file.expires_at.map(sql_time))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

pub(super) fn record(row: &SqliteRow) -> sqlx::Result<FileRecord> {
    Ok(FileRecord {
        project: row.try_get("project")?,
        file_id: row.try_get("file_id")?,
        object_id: row.try_get("object_id")?,
        purpose: row.try_get("purpose")?,
        filename: row.try_get("filename")?,
        bytes: row.try_get("bytes")?,
        sha256: row.try_get("sha256")?,
        location: row.try_get("location")?,
        created_at: row::time(row, "created_at")?,
        expires_at: row::time(row, "expires_at")?,
    })
}
