//! The table `batch_inputs`. An input file never changes, so a line that is stored stays as it is; the batch's
//! `input_state` says when all of them are stored.

use std::sync::LazyLock;

use super::files;
use super::upsert::ManyRows;
use crate::batch_input::BatchInput;
use crate::columns::Record as _;
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::files::FileRecord;
use crate::part_state::PartState;
use crate::schema::BATCH_INPUTS;
use crate::store::Store;
use crate::value::Value;

static INSERT: LazyLock<ManyRows> =
    LazyLock::new(|| ManyRows::new(&BATCH_INPUTS, &BATCH_INPUTS.columns(), " ON CONFLICT DO NOTHING"));

static SETTLE: LazyLock<String> = LazyLock::new(|| {
    let is_open = PartState::is_open("input_state");
    format!("UPDATE batches SET input_state = $3 WHERE project = $1 AND batch_id = $2 AND {is_open}")
});

impl Store {
    /// Stores lines of a batch's input file.
    pub async fn save_batch_inputs(
        &self,
        project: &str,
        batch_id: &str,
        lines: &[BatchInput],
    ) -> Result<(), StoreError> {
        let mut values = Vec::new();
        for line in lines {
            values.extend([Value::text(project), Value::key(batch_id)]);
            values.extend(line.values());
        }
        let steps = async |transaction: &mut WriteTransaction| INSERT.write(transaction, &values).await;
        self.database.write("store the requests of a batch", steps).await
    }

    /// Records what became of a batch's input file, together with the row of the raw file if it was fetched. A fetched
    /// file stays fetched.
    pub async fn settle_batch_input(
        &self,
        project: &str,
        batch_id: &str,
        outcome: Result<&FileRecord, PartState>,
    ) -> Result<(), StoreError> {
        let state = outcome.map_or_else(|state| state, |_| PartState::Fetched);
        let values = [Value::text(project), Value::key(batch_id), Value::member(state)];
        let steps = async |transaction: &mut WriteTransaction| {
            if let Ok(file) = outcome {
                files::save_in(transaction, file).await?;
            }
            transaction.execute(SETTLE.as_str(), &values).await.map(drop)
        };
        self.database.write("store the input file of a batch", steps).await
    }

    /// The requests of a batch after this line, in the order of the file.
    pub async fn batch_inputs(
        &self,
        project: &str,
        batch_id: &str,
        (after_line, limit): (i64, u32),
    ) -> Result<Vec<BatchInput>, StoreError> {
        let select = "SELECT * FROM batch_inputs WHERE project = $1 AND batch_id = $2 AND line > $3 \
                      ORDER BY line LIMIT $4";
        let values = [Value::text(project), Value::key(batch_id), after_line.into(), limit.into()];
        self.database.read("read the requests of a batch", select, &values, BatchInput::read).await
    }

    /// The number of batches whose input file the API key was not allowed to read, and the id of one of them.
    pub async fn forbidden_batch_inputs(&self) -> Result<(i64, Option<String>), StoreError> {
        let select = "SELECT count(*) AS batches, max(batch_id) AS batch_id FROM batches \
                      WHERE input_state = 'forbidden'";
        let counted = |row: &crate::row::Row| Ok((row.get("batches")?, row.get("batch_id")?));
        self.database.read_one("count the input files of batches", select, &[], counted).await
    }
}

/// Deletes up to `lines` of the last requests of a locked batch, whose input file is then no longer stored. Returns how
/// many.
pub(super) async fn delete_last(
    transaction: &mut WriteTransaction,
    (project, batch_id): (&str, &str),
    lines: i64,
) -> sqlx::Result<u64> {
    let batch = [Value::text(project), Value::key(batch_id)];
    let last =
        "SELECT line FROM batch_inputs WHERE project = $1 AND batch_id = $2 ORDER BY line DESC LIMIT 1";
    let Some(last) = transaction.lock_row(last, &batch).await? else { return Ok(0) };
    let last: i64 = last.get("line")?;
    let forget = "UPDATE batches SET input_state = NULL WHERE project = $1 AND batch_id = $2";
    transaction.execute(forget, &batch).await?;
    let delete = "DELETE FROM batch_inputs WHERE project = $1 AND batch_id = $2 AND line > $3";
    let [project, batch_id] = batch;
    transaction.execute(delete, &[project, batch_id, (last - lines).into()]).await
}
