//! Batches being imported: their row is marked when an attempt begins, and unmarked when the import ends.

use sqlx::AssertSqlSafe;

use crate::batch::BatchRecord;
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::import::Import;
use crate::row::Row;
use crate::store::Store;
use crate::value::Value;

/// Records the time and row count from which the speed is computed. Batches that are complete or were not fetched have
/// no import.
pub(super) async fn mark(transaction: &mut WriteTransaction, batch: &BatchRecord) -> sqlx::Result<()> {
    let Some(fetched_at) = batch.fetched_at else { return Ok(()) };
    let update = "UPDATE batches SET import_began_at = $1, import_began_rows = rows_stored \
                  WHERE project = $2 AND batch_id = $3 AND NOT results_complete \
                  AND (output_file_id IS NOT NULL OR error_file_id IS NOT NULL)";
    let values = [Value::time(fetched_at), Value::text(&batch.project), Value::key(&batch.batch_id)];
    transaction.execute(update, &values).await.map(drop)
}

const COLUMNS: &str = "project, batch_id, rows_stored, requests_total, import_began_at, import_began_rows";

impl Store {
    /// Batches with an import in progress whose event is still pending, oldest import first.
    pub async fn imports(&self, limit: u32) -> Result<Vec<Import>, StoreError> {
        let select = format!(
            "SELECT {COLUMNS} FROM batches WHERE import_began_at IS NOT NULL AND EXISTS ( \
                 SELECT 1 FROM events WHERE events.object_id = batches.batch_id \
                 AND events.project = batches.project AND events.state IN ('received', 'retrying')) \
             ORDER BY import_began_at, batch_id LIMIT $1"
        );
        self.database.read("read imports", AssertSqlSafe(select), &[limit.into()], import).await
    }

    /// The import of a batch that has begun and not ended, whether a worker is at it or not.
    pub async fn batch_import(&self, project: &str, batch_id: &str) -> Result<Option<Import>, StoreError> {
        let select = format!(
            "SELECT {COLUMNS} FROM batches WHERE project = $1 AND batch_id = $2 AND import_began_at IS NOT NULL"
        );
        let values = [Value::text(project), Value::key(batch_id)];
        let found = self.database.read("read an import", AssertSqlSafe(select), &values, import).await?;
        Ok(found.into_iter().next())
    }
}

fn import(row: &Row) -> sqlx::Result<Import> {
    Ok(Import {
        project: row.get("project")?,
        batch_id: row.get("batch_id")?,
        rows_stored: row.get("rows_stored")?,
        requests_total: row.get("requests_total")?,
        began_at: row.required_time("import_began_at")?,
        began_rows: row.get("import_began_rows")?,
    })
}
