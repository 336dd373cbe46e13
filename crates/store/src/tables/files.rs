//! The table `files`: one row a raw file. The same file again changes nothing; what OpenAI did not say this time of its
//! purpose, name and times stays as it was known.

use crate::database::{Database, WriteTransaction};
use crate::files::FileRecord;
use crate::row::Row;
use crate::value::Value;

const UPSERT: &str = "
    INSERT INTO files
        (project, file_id, object_id, purpose, filename, bytes, sha256, location, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (project, file_id) DO UPDATE SET
        object_id = excluded.object_id, bytes = excluded.bytes, sha256 = excluded.sha256, location = excluded.location,
        purpose = coalesce(excluded.purpose, files.purpose), filename = coalesce(excluded.filename, files.filename),
        created_at = coalesce(excluded.created_at, files.created_at),
        expires_at = coalesce(excluded.expires_at, files.expires_at)";

pub(crate) async fn save(database: &Database, file: &FileRecord) -> sqlx::Result<()> {
    let mut transaction = database.begin().await?;
    save_in(&mut transaction, file).await?;
    transaction.commit().await
}

pub(super) async fn save_in(transaction: &mut WriteTransaction, file: &FileRecord) -> sqlx::Result<()> {
    let bytes = i64::try_from(file.bytes).map_err(|error| sqlx::Error::Encode(error.into()))?;
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
        .await
        .map(drop)
}

pub(crate) async fn of_object(
    database: &Database,
    project: &str,
    object_id: &str,
    file_id: &str,
) -> sqlx::Result<Option<FileRecord>> {
    let select = "SELECT * FROM files WHERE project = $1 AND file_id = $2 AND object_id = $3";
    let name = [Value::text(project), Value::key(file_id), Value::key(object_id)];
    database.fetch_optional(select, &name).await?.as_ref().map(record).transpose()
}

/// The same bytes are somewhere else now.
pub(crate) async fn relocate(database: &Database, file: &FileRecord, to: &str) -> sqlx::Result<()> {
    let update = "UPDATE files SET location = $1 WHERE project = $2 AND file_id = $3 AND location = $4";
    let values =
        [Value::text(to), Value::text(&file.project), Value::key(&file.file_id), Value::text(&file.location)];
    let mut transaction = database.begin().await?;
    transaction.execute(update, &values).await?;
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
