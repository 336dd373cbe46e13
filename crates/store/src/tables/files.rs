//! The table `files`: one row a raw file. The same file again changes nothing.

use crate::database::Database;
use crate::files::FileRecord;
use crate::row::Row;
use crate::value::Value;

const UPSERT: &str = "
    INSERT INTO files
        (project, file_id, object_id, purpose, filename, bytes, sha256, location, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (project, file_id) DO UPDATE SET
        object_id = excluded.object_id, purpose = excluded.purpose, filename = excluded.filename,
        bytes = excluded.bytes, sha256 = excluded.sha256, location = excluded.location,
        created_at = excluded.created_at, expires_at = excluded.expires_at";

pub(crate) async fn save(database: &Database, file: &FileRecord) -> sqlx::Result<()> {
    let bytes = i64::try_from(file.bytes).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let mut transaction = database.begin().await?;
    transaction
        .execute(
            UPSERT,
            &[
                Value::text(&file.project),
                Value::key(&file.file_id),
                Value::key(&file.object_id),
                Value::text_if_any(file.purpose.as_deref()),
                Value::text_if_any(file.filename.as_deref()),
                bytes.into(),
                Value::text(&file.sha256),
                Value::text(&file.location),
                Value::time_if_any(file.created_at),
                Value::time_if_any(file.expires_at),
            ],
        )
        .await?;
    transaction.commit().await
}

pub(super) fn record(row: &Row) -> sqlx::Result<FileRecord> {
    Ok(FileRecord {
        project: row.get("project")?,
        file_id: row.get("file_id")?,
        object_id: row.get("object_id")?,
        purpose: row.get("purpose")?,
        filename: row.get("filename")?,
        bytes: row.count("bytes")?,
        sha256: row.get("sha256")?,
        location: row.get("location")?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
    })
}
