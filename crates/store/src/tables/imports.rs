//! Which batches are being imported: marked in their row when an attempt begins, until their end is written.

use crate::batch::BatchRecord;
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::import::Import;
use crate::row::Row;
use crate::store::Store;
use crate::value::Value;

/// Notes from when and from how many rows on the speed is to be counted. Nothing is imported of a batch that was not
/// fetched, or is complete.
pub(super) async fn mark(transaction: &mut WriteTransaction, batch: &BatchRecord) -> sqlx::Result<()> {
    let Some(fetched_at) = batch.fetched_at else { return Ok(()) };
    let update = "UPDATE batches SET import_began_at = $1, import_began_rows = rows_stored \
                  WHERE project = $2 AND batch_id = $3 AND NOT results_complete \
                  AND (output_file_id IS NOT NULL OR error_file_id IS NOT NULL)";
    let values = [Value::time(fetched_at), Value::text(&batch.project), Value::key(&batch.batch_id)];
    transaction.execute(update, &values).await.map(drop)
}

impl Store {
    /// Batches whose import is under way, and whose event is neither settled nor given up. The one that began first comes
    /// first.
    pub async fn imports(&self, limit: u32) -> Result<Vec<Import>, StoreError> {
        let select = "SELECT project, batch_id, rows_stored, requests_total, import_began_at, import_began_rows \
                      FROM batches WHERE import_began_at IS NOT NULL AND EXISTS ( \
                          SELECT 1 FROM events WHERE events.object_id = batches.batch_id \
                          AND events.project = batches.project AND events.state IN ('received', 'retrying')) \
                      ORDER BY import_began_at, batch_id LIMIT $1";
        let import = |row: &Row| {
            Ok(Import {
                project: row.get("project")?,
                batch_id: row.get("batch_id")?,
                rows_stored: row.get("rows_stored")?,
                requests_total: row.get("requests_total")?,
                began_at: row.required_time("import_began_at")?,
                began_rows: row.get("import_began_rows")?,
            })
        };
        self.database.read("read imports", select, &[limit.into()], import).await
    }
}
