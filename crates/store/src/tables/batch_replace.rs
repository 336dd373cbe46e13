//! Replaces a batch file: one transaction deletes its rows, adds the new ones, and updates the file's row. Only one
//! writer at a time writes rows of a batch: replacements wait for imports, and imports for replacements.

use sqlx::AssertSqlSafe;

use super::import_claim::claim;
use super::{batch_rows, batches, files};
use crate::batch::{BatchChunk, BatchResult, NewContent};
use crate::database::{Database, WriteTransaction};
use crate::files::FileRecord;
use crate::value::Value;

/// The outcome of the attempt to begin.
pub(crate) enum Begun {
    Ready(Replacing),
    /// Another writer is writing rows of the batch.
    Busy,
    /// The batch refers to another file by now, or is gone.
    Superseded,
    /// The stored content has more readable lines than the new one.
    Fewer {
        stored: i64,
    },
}

/// A replacement whose transaction has deleted the old rows.
pub(crate) struct Replacing {
    transaction: WriteTransaction,
    /// Reused for each group of rows.
    chunk: BatchChunk,
    next_line: i64,
}

pub(crate) async fn begin(database: &Database, content: &NewContent) -> sqlx::Result<Begun> {
    let NewContent { project, batch_id, source, file_id, readable_lines } = content;
    let mut transaction = database.begin().await?;
    if !claim(&mut transaction, project, batch_id, None).await? {
        transaction.rollback().await?;
        return Ok(Begun::Busy);
    }
    let column = source.file_id_column();
    let name = format!("SELECT {column} AS file_id FROM batches WHERE project = $1 AND batch_id = $2");
    let batch = [Value::text(project), Value::key(batch_id)];
    let named: Option<String> = match transaction.lock_row(AssertSqlSafe(name), &batch).await? {
        Some(row) => row.get("file_id")?,
        None => None,
    };
    if named.as_ref() != Some(file_id) {
        return Ok(Begun::Superseded);
    }
    let [project_value, batch_value] = batch;
    let file = [project_value, batch_value, Value::member(*source)];
    let count = "SELECT count(*) AS lines FROM batch_results \
                 WHERE project = $1 AND batch_id = $2 AND source = $3 AND NOT quarantined";
    let counted = transaction.fetch_one(count, &file).await?;
    let stored = counted.get("lines")?;
    if *readable_lines < stored {
        return Ok(Begun::Fewer { stored });
    }
    let delete = "DELETE FROM batch_results WHERE project = $1 AND batch_id = $2 AND source = $3";
    transaction.execute(delete, &file).await?;
    let chunk = BatchChunk {
        project: project.clone(),
        batch_id: batch_id.clone(),
        source: *source,
        first_line: 1,
        rows: Vec::new(),
    };
    Ok(Begun::Ready(Replacing { transaction, chunk, next_line: 1 }))
}

impl Replacing {
    pub(crate) async fn add(&mut self, rows: Vec<BatchResult>) -> sqlx::Result<()> {
        let Some(last) = rows.last() else { return Ok(()) };
        self.chunk.first_line = self.next_line;
        self.next_line = last.line + 1;
        self.chunk.rows = rows;
        batch_rows::add(&mut self.transaction, &self.chunk).await.map(drop)
    }

    pub(crate) async fn commit(mut self, file: &FileRecord) -> sqlx::Result<()> {
        let BatchChunk { project, batch_id, source, .. } = &self.chunk;
        let next_line = source.next_line_column();
        let update = format!("UPDATE batches SET {next_line} = $1 WHERE project = $2 AND batch_id = $3");
        let values = [self.next_line.into(), Value::text(project), Value::key(batch_id)];
        self.transaction.execute(AssertSqlSafe(update), &values).await?;
        batches::count_rows(&mut self.transaction, project, batch_id).await?;
        files::save_in(&mut self.transaction, file).await?;
        self.transaction.commit().await
    }

    pub(crate) async fn rollback(self) -> sqlx::Result<()> {
        self.transaction.rollback().await
    }
}
