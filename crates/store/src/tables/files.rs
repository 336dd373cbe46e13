//! The table `files`: one row a raw file. The same file again changes nothing; what OpenAI did not say this time of its
//! purpose, name and times stays as it was known.

use std::sync::LazyLock;

use super::upsert::{Existing, upsert};
use crate::columns::Record as _;
use crate::database::{Database, WriteTransaction};
use crate::files::FileRecord;
use crate::schema::FILES;
use crate::value::Value;

static UPSERT: LazyLock<String> = LazyLock::new(|| upsert(&FILES, FileRecord::COLUMNS, Existing::Complete));

pub(crate) async fn save(database: &Database, file: &FileRecord) -> sqlx::Result<()> {
    let mut transaction = database.begin().await?;
    save_in(&mut transaction, file).await?;
    transaction.commit().await
}

pub(super) async fn save_in(transaction: &mut WriteTransaction, file: &FileRecord) -> sqlx::Result<()> {
    if let Err(error) = i64::try_from(file.bytes) {
        return Err(sqlx::Error::Encode(error.into()));
    }
    transaction.execute(UPSERT.as_str(), &file.values()).await.map(drop)
}

pub(crate) async fn of_object(
    database: &Database,
    project: &str,
    object_id: &str,
    file_id: &str,
) -> sqlx::Result<Option<FileRecord>> {
    let select = "SELECT * FROM files WHERE project = $1 AND file_id = $2 AND object_id = $3";
    let name = [Value::text(project), Value::key(file_id), Value::key(object_id)];
    database.fetch_optional(select, &name).await?.as_ref().map(FileRecord::read).transpose()
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
