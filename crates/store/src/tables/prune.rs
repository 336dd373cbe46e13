//! Deletes old rows in steps of one small transaction each, with a pause in which others write. It can stop after any
//! step: a batch loses its last lines first, so a half-deleted batch looks like a batch whose import is half done.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use webhook::Family;

use super::prune_objects::{Candidate, Objects, PRUNE};
use super::{batch_inputs, prune_events};
use crate::batch::ResultSource;
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::files::Files;
use crate::prune::{Pruned, Retention};
use crate::store::Store;
use crate::value::Value;

/// Lines of a batch deleted per transaction, at most; they are next to each other.
const LINES_PER_STEP: i64 = 250;
/// Between two transactions. A writer of another process looks for SQLite's lock every few milliseconds.
const PAUSE: Duration = Duration::from_millis(8);

fn failed(source: sqlx::Error) -> StoreError {
    StoreError::database(PRUNE)(source)
}

/// Retention.
impl Store {
    /// Counts what [`Store::prune`] would delete.
    pub async fn prunable(&self, retention: &Retention) -> Result<Pruned, StoreError> {
        let mut pruned = match Objects::of(retention.family) {
            Some(objects) => objects.count(&self.database, retention).await?,
            None => Pruned::default(),
        };
        (pruned.events, pruned.notifications) = prune_events::count(&self.database, retention).await?;
        Ok(pruned)
    }

    /// Deletes old rows and files in small transactions; `on_step` is called with the counts of each. If it is dropped
    /// or killed halfway, the next run finds everything that is left.
    ///
    /// # Errors
    /// When the database or the raw files cannot be written.
    pub async fn prune(
        &self,
        retention: &Retention,
        mut on_step: impl FnMut(&Pruned),
    ) -> Result<(), StoreError> {
        self.database.prepare_deletions().await.map_err(failed)?;
        if let Some(objects) = Objects::of(retention.family) {
            if objects.is_one_row {
                self.prune_without_files(objects, retention, &mut on_step).await?;
            }
            self.prune_each(objects, retention, &mut on_step).await?;
        }
        self.prune_events(retention, &mut on_step).await
    }

    /// Objects that are one row and have no file, many at a time. They are looked for outside the transaction.
    async fn prune_without_files(
        &self,
        objects: Objects,
        retention: &Retention,
        on_step: &mut impl FnMut(&Pruned),
    ) -> Result<(), StoreError> {
        let mut after = Candidate::default();
        loop {
            let found = objects.candidates(&self.database, retention, &after, false).await?;
            let Some(last) = found.last() else { return Ok(()) };
            let steps = async |transaction: &mut WriteTransaction| {
                objects.delete_without_files(transaction, retention, &found).await
            };
            let objects = self.database.write(PRUNE, steps).await?;
            on_step(&Pruned { objects, ..Pruned::default() });
            after = last.clone();
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Objects with files or dependent rows, one at a time.
    async fn prune_each(
        &self,
        objects: Objects,
        retention: &Retention,
        on_step: &mut impl FnMut(&Pruned),
    ) -> Result<(), StoreError> {
        let mut after = Candidate::default();
        loop {
            let found = objects.candidates(&self.database, retention, &after, true).await?;
            for object in &found {
                loop {
                    let step = self.prune_object(objects, object, retention).await?;
                    on_step(&step);
                    tokio::time::sleep(PAUSE).await;
                    // Nothing was deleted: the object is in use again.
                    if step.objects > 0 || step.is_nothing() {
                        break;
                    }
                }
            }
            match found.into_iter().next_back() {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }

    async fn prune_events(
        &self,
        retention: &Retention,
        on_step: &mut impl FnMut(&Pruned),
    ) -> Result<(), StoreError> {
        for state in prune_events::STATES {
            let mut from = None;
            loop {
                let steps = async |transaction: &mut WriteTransaction| {
                    prune_events::delete(transaction, retention, state, from).await
                };
                let Some(step) = self.database.write(PRUNE, steps).await? else { break };
                on_step(&step.pruned);
                from = step.last_received_at;
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    /// Deletes the object, or some of its lines if it is a batch that has any left.
    async fn prune_object(
        &self,
        objects: Objects,
        object: &Candidate,
        retention: &Retention,
    ) -> Result<Pruned, StoreError> {
        let mut transaction = self.database.begin().await.map_err(failed)?;
        let mut pruned = Pruned::default();
        if !objects.lock(&mut transaction, object, retention).await.map_err(failed)? {
            return Ok(pruned);
        }
        if retention.family == Family::Batch {
            pruned.results = delete_results(&mut transaction, object).await.map_err(failed)?;
            if pruned.results == 0 {
                let batch = (object.project.as_str(), object.id.as_str());
                let deleted = batch_inputs::delete_last(&mut transaction, batch, LINES_PER_STEP).await;
                pruned.inputs = deleted.map_err(failed)?;
            }
        }
        if pruned.results == 0 && pruned.inputs == 0 {
            self.prune_files(&mut transaction, object, &mut pruned).await?;
            objects.delete(&mut transaction, object).await.map_err(failed)?;
            pruned.objects = 1;
        }
        transaction.commit().await.map_err(failed)?;
        Ok(pruned)
    }

    /// Files first: the next run finds and removes a row without its file, but never a file without its row.
    async fn prune_files(
        &self,
        transaction: &mut WriteTransaction,
        object: &Candidate,
        pruned: &mut Pruned,
    ) -> Result<(), StoreError> {
        while let Some(file) = next_file(transaction, object).await.map_err(failed)? {
            self.files.remove(&file.location).await?;
            // A worker that crashed while replacing the file left the old one at the regular location.
            let home = Files::location(&object.project, &object.id, &file.file_id);
            if file.location != home {
                self.files.remove(&home).await?;
            }
            delete_file(transaction, &object.project, &file.file_id).await.map_err(failed)?;
            pruned.files += 1;
            pruned.file_bytes += file.bytes;
        }
        Ok(())
    }
}

/// A file of an object that is being deleted.
#[derive(Debug)]
struct OldFile {
    file_id: String,
    location: String,
    bytes: u64,
}

/// One remaining file of the object, if any.
async fn next_file(transaction: &mut WriteTransaction, object: &Candidate) -> sqlx::Result<Option<OldFile>> {
    let select = "SELECT file_id, location, bytes FROM files WHERE project = $1 AND object_id = $2 LIMIT 1";
    let values = [Value::text(&object.project), Value::key(&object.id)];
    let Some(row) = transaction.lock_row(select, &values).await? else { return Ok(None) };
    Ok(Some(OldFile {
        file_id: row.get("file_id")?,
        location: row.get("location")?,
        bytes: row.count("bytes")?,
    }))
}

async fn delete_file(transaction: &mut WriteTransaction, project: &str, file_id: &str) -> sqlx::Result<()> {
    let delete = "DELETE FROM files WHERE project = $1 AND file_id = $2";
    transaction.execute(delete, &[Value::text(project), Value::key(file_id)]).await.map(drop)
}

/// Deletes the last lines of a locked batch. Returns how many; 0 if none are left.
async fn delete_results(transaction: &mut WriteTransaction, batch: &Candidate) -> sqlx::Result<u64> {
    for source in [ResultSource::Error, ResultSource::Output] {
        let deleted = delete_last_lines(transaction, batch, source).await?;
        if deleted > 0 {
            return Ok(deleted);
        }
    }
    Ok(0)
}

async fn delete_last_lines(
    transaction: &mut WriteTransaction,
    batch: &Candidate,
    source: ResultSource,
) -> sqlx::Result<u64> {
    let of_batch = [Value::text(&batch.project), Value::key(&batch.id), Value::member(source)];
    let last = "SELECT line FROM batch_results WHERE project = $1 AND batch_id = $2 AND source = $3 \
                ORDER BY line DESC LIMIT 1";
    let Some(last) = transaction.lock_row(last, &of_batch).await? else { return Ok(0) };
    let last: i64 = last.get("line")?;
    let from_line = (last - LINES_PER_STEP + 1).max(1);
    let [project, batch_id, source_name] = of_batch;
    let lines = [project.clone(), batch_id.clone(), source_name, from_line.into()];
    let quarantined = "DELETE FROM batch_results WHERE project = $1 AND batch_id = $2 AND source = $3 \
                       AND line >= $4 AND quarantined";
    let quarantined = transaction.execute(quarantined, &lines).await?;
    let others =
        "DELETE FROM batch_results WHERE project = $1 AND batch_id = $2 AND source = $3 AND line >= $4";
    let deleted = quarantined + transaction.execute(others, &lines).await?;
    let next_line = source.next_line_column();
    let move_back = format!(
        "UPDATE batches SET {next_line} = $1, rows_stored = rows_stored - $2, \
         rows_quarantined = rows_quarantined - $3, results_complete = FALSE \
         WHERE project = $4 AND batch_id = $5"
    );
    let signed = |count: u64| i64::try_from(count).map_err(|error| sqlx::Error::Encode(error.into()));
    let values = [from_line.into(), signed(deleted)?.into(), signed(quarantined)?.into(), project, batch_id];
    transaction.execute(AssertSqlSafe(move_back), &values).await?;
    Ok(deleted)
}
