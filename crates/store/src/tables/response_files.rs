//! The table `response_files`. A response with files is stored before they are; each file's state is then written on
//! its own, so that a later attempt fetches only what is missing.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};

use super::upsert::insert;
use super::{files, responses};
use crate::columns::Record as _;
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::files::FileRecord;
use crate::response::ResponseRecord;
use crate::response_file::ResponseFile;
use crate::schema::RESPONSE_FILES;
use crate::store::Store;
use crate::value::Value;

static INSERT: LazyLock<String> =
    LazyLock::new(|| format!("{} ON CONFLICT DO NOTHING", insert(&RESPONSE_FILES, ResponseFile::COLUMNS)));

impl Store {
    /// Stores a response without its event, because its files are still to be fetched, and returns all its files: those
    /// that an earlier attempt knew keep their state.
    pub async fn begin_response(
        &self,
        response: &ResponseRecord,
        files: &[ResponseFile],
    ) -> Result<Vec<ResponseFile>, StoreError> {
        let steps = async |transaction: &mut WriteTransaction| {
            responses::save_in(transaction, response).await?;
            for file in files {
                transaction.execute(INSERT.as_str(), &file.values()).await?;
            }
            Ok(())
        };
        self.database.write("store a response with files", steps).await?;
        self.response_files(&response.project, &response.response_id).await
    }

    /// The files of a response.
    pub async fn response_files(
        &self,
        project: &str,
        response_id: &str,
    ) -> Result<Vec<ResponseFile>, StoreError> {
        let select = "SELECT * FROM response_files WHERE project = $1 AND response_id = $2 \
                      ORDER BY container_id, file_id";
        let values = [Value::text(project), Value::key(response_id)];
        self.database.read("read the files of a response", select, &values, ResponseFile::read).await
    }

    /// Writes a file's state, together with the row of the raw file if it was fetched. A fetched file stays fetched.
    pub async fn settle_response_file(
        &self,
        file: &ResponseFile,
        stored: Option<&FileRecord>,
    ) -> Result<(), StoreError> {
        let update = "UPDATE response_files SET state = $1, stored_file_id = $2 WHERE project = $3 \
                      AND response_id = $4 AND container_id = $5 AND file_id = $6 AND state <> 'fetched'";
        let values = [
            Value::text(file.state.as_str()),
            Value::opt_key(file.stored_file_id.as_deref()),
            Value::text(&file.project),
            Value::key(&file.response_id),
            Value::key(&file.container_id),
            Value::key(&file.file_id),
        ];
        let steps = async |transaction: &mut WriteTransaction| {
            if let Some(stored) = stored {
                files::save_in(transaction, stored).await?;
            }
            transaction.execute(update, &values).await.map(drop)
        };
        self.database.write("store a file of a response", steps).await
    }

    /// Makes the files that could not be fetched pending again, when an operator requests the response.
    pub async fn reopen_response_files(
        &self,
        project: &str,
        response_id: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let update = "UPDATE response_files SET state = 'pending', first_attempt_at = $3 \
                      WHERE project = $1 AND response_id = $2 AND state IN ('expired', 'forbidden')";
        let values = [Value::text(project), Value::key(response_id), Value::time(now)];
        let steps =
            async |transaction: &mut WriteTransaction| transaction.execute(update, &values).await.map(drop);
        self.database.write("reopen the files of a response", steps).await
    }

    /// A response that the API key was not allowed to read a file of, and how many such files there are.
    pub async fn forbidden_response_files(&self) -> Result<(i64, Option<String>), StoreError> {
        let select = "SELECT count(*) AS files, max(response_id) AS response_id FROM response_files \
                      WHERE state = 'forbidden'";
        let counted = |row: &crate::row::Row| Ok((row.get("files")?, row.get("response_id")?));
        self.database.read_one("count the files of responses", select, &[], counted).await
    }
}
