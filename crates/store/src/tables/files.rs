//! The table `files`: one row per raw file. Storing the same file again changes nothing; purpose, name and times that
//! OpenAI did not send this time keep their values.

use std::sync::LazyLock;

use super::upsert::{Existing, upsert};
use crate::columns::Record as _;
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::files::{FileRecord, Files};
use crate::schema::FILES;
use crate::store::Store;
use crate::value::Value;

const WRITE_ROW: &str = "store a file's row";

static UPSERT: LazyLock<String> = LazyLock::new(|| upsert(&FILES, FileRecord::COLUMNS, Existing::Complete));

impl Store {
    /// Stores a file's row. The file must already exist.
    pub async fn save_file(&self, file: &FileRecord) -> Result<(), StoreError> {
        let steps = async |transaction: &mut WriteTransaction| save_in(transaction, file).await;
        self.database.write(WRITE_ROW, steps).await
    }

    /// The row of an object's file, if stored.
    pub async fn file_of(
        &self,
        project: &str,
        object_id: &str,
        file_id: &str,
    ) -> Result<Option<FileRecord>, StoreError> {
        let select = "SELECT * FROM files WHERE project = $1 AND file_id = $2 AND object_id = $3";
        let name = [Value::text(project), Value::key(file_id), Value::key(object_id)];
        Ok(self.database.read("read a file's row", select, &name, FileRecord::read).await?.pop())
    }

    /// After a file was replaced by one at another location: removes the old file, and moves the new one to the regular
    /// location. At any time the file's row names a complete file; if this is interrupted, the new file stays where it
    /// is.
    pub async fn move_to_final_location(
        &self,
        file: &FileRecord,
        old_location: Option<&str>,
    ) -> Result<(), StoreError> {
        let home = Files::location(&file.project, &file.object_id, &file.file_id);
        // Copying overwrites, so a file of this name always exists.
        let copied = self.files.copy(&file.location, &home).await;
        if let Some(old) = old_location.filter(|old| copied.is_err() || *old != home) {
            self.files.remove(old).await?;
        }
        copied?;
        let update = "UPDATE files SET location = $1 WHERE project = $2 AND file_id = $3 AND location = $4";
        let [project, file_id] = [Value::text(&file.project), Value::key(&file.file_id)];
        let values = [Value::text(&home), project, file_id, Value::text(&file.location)];
        let steps = async |transaction: &mut WriteTransaction| transaction.execute(update, &values).await;
        self.database.write(WRITE_ROW, steps).await?;
        self.files.remove(&file.location).await
    }
}

pub(super) async fn save_in(transaction: &mut WriteTransaction, file: &FileRecord) -> sqlx::Result<()> {
    if let Err(error) = i64::try_from(file.bytes) {
        return Err(sqlx::Error::Encode(error.into()));
    }
    transaction.execute(UPSERT.as_str(), &file.values()).await.map(drop)
}
