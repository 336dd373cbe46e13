//! Deletes old rows in steps of one small transaction each. It can stop after any step: a batch loses its last lines
//! first, so a half-deleted batch looks like a batch whose import is half done.

use sqlx::AssertSqlSafe;
use webhook::Family;

use crate::batch::ResultSource;
use crate::database::{Database, WriteTransaction};
use crate::error::StoreError;
use crate::files::Files;
use crate::prune::{Pruned, Retention};
use crate::row::Row;
use crate::store::Store;
use crate::value::Value;

/// Objects read per query; each is deleted in its own transaction.
const OBJECTS_PER_PAGE: u32 = 100;
/// Batch lines and events deleted per transaction.
const RESULTS_PER_STEP: i64 = 5000;
const EVENTS_PER_STEP: u32 = 1000;

const PRUNE: &str = "prune";

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
        (pruned.events, pruned.notifications) = count_events(&self.database, retention).await?;
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
        if let Some(objects) = Objects::of(retention.family) {
            let mut after = Candidate::default();
            loop {
                let found = objects.candidates(&self.database, retention, &after).await?;
                for object in &found {
                    loop {
                        let step = self.prune_object(objects, object, retention).await?;
                        on_step(&step);
                        // Nothing was deleted: the object is in use again.
                        if step.objects > 0 || step.is_nothing() {
                            break;
                        }
                    }
                }
                match found.into_iter().next_back() {
                    Some(last) => after = last,
                    None => break,
                }
            }
        }
        loop {
            let steps =
                async |transaction: &mut WriteTransaction| delete_events(transaction, retention).await;
            let (events, notifications) = self.database.write(PRUNE, steps).await?;
            if events == 0 {
                return Ok(());
            }
            on_step(&Pruned { events, notifications, ..Pruned::default() });
        }
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
        }
        if pruned.results == 0 {
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

/// The tables of a family's objects.
#[derive(Debug, Clone, Copy)]
struct Objects {
    table: &'static str,
    id: &'static str,
    /// Dependent tables, with the column that holds the object's id.
    parts: &'static [(&'static str, &'static str)],
    /// A further condition for deletion.
    unless: &'static str,
}

/// An object that can be deleted. The default sorts before all others.
#[derive(Debug, Default)]
struct Candidate {
    project: String,
    id: String,
}

/// A file of an object that is being deleted.
#[derive(Debug)]
struct OldFile {
    file_id: String,
    location: String,
    bytes: u64,
}

impl Objects {
    /// `None` if the family has only events.
    fn of(family: Family) -> Option<Self> {
        match family {
            Family::Response => Some(Self {
                table: "responses",
                id: "response_id",
                parts: &[("response_files", "response_id")],
                unless: "",
            }),
            Family::Batch => Some(Self {
                table: "batches",
                id: "batch_id",
                parts: &[],
                // Each attempt updates it; an old value was left by a crashed worker.
                unless: " AND (import_began_at IS NULL OR import_began_at < $1)",
            }),
            Family::FineTuning => Some(Self {
                table: "fine_tuning_jobs",
                id: "job_id",
                parts: &[("fine_tuning_metrics", "job_id"), ("fine_tuned_models", "job_id")],
                unless: "",
            }),
            Family::Eval => Some(Self { table: "eval_runs", id: "run_id", parts: &[], unless: "" }),
            Family::Realtime | Family::Agent | Family::Safety | Family::Other => None,
        }
    }

    /// The condition for deleting an object; `$1` is the time.
    fn old(self) -> String {
        let Self { table, id, unless, .. } = self;
        format!(
            "received_at < $1{unless} AND NOT EXISTS (SELECT 1 FROM events \
             WHERE events.object_id = {table}.{id} AND events.project = {table}.project \
             AND (events.state IN ('received', 'retrying') OR events.received_at >= $1)) \
             AND NOT EXISTS (SELECT 1 FROM notifications WHERE notifications.object_id = {table}.{id} \
             AND notifications.project = {table}.project AND notifications.state = 'pending')"
        )
    }

    async fn candidates(
        self,
        database: &Database,
        retention: &Retention,
        after: &Candidate,
    ) -> Result<Vec<Candidate>, StoreError> {
        let Self { table, id, .. } = self;
        let select = format!(
            "SELECT project, {id} AS id FROM {table} WHERE (project, {id}) > ($2, $3) AND {} \
             ORDER BY project, {id} LIMIT {OBJECTS_PER_PAGE}",
            self.old()
        );
        let values = [Value::time(retention.before), Value::text(&after.project), Value::key(&after.id)];
        let candidate = |row: &Row| Ok(Candidate { project: row.get("project")?, id: row.get("id")? });
        database.read(PRUNE, AssertSqlSafe(select), &values, candidate).await
    }

    /// Whether the object can still be deleted; if so, it is locked until the transaction ends.
    async fn lock(
        self,
        transaction: &mut WriteTransaction,
        object: &Candidate,
        retention: &Retention,
    ) -> sqlx::Result<bool> {
        let Self { table, id, .. } = self;
        let select =
            format!("SELECT project FROM {table} WHERE {} AND project = $2 AND {id} = $3", self.old());
        let values = [Value::time(retention.before), Value::text(&object.project), Value::key(&object.id)];
        Ok(transaction.lock_row(AssertSqlSafe(select), &values).await?.is_some())
    }

    async fn delete(self, transaction: &mut WriteTransaction, object: &Candidate) -> sqlx::Result<()> {
        let values = [Value::text(&object.project), Value::key(&object.id)];
        for (table, id) in self.parts.iter().copied().chain([(self.table, self.id)]) {
            let delete = format!("DELETE FROM {table} WHERE project = $1 AND {id} = $2");
            transaction.execute(AssertSqlSafe(delete), &values).await?;
        }
        Ok(())
    }

    /// Counts the objects and files that all steps together would delete.
    async fn count(self, database: &Database, retention: &Retention) -> Result<Pruned, StoreError> {
        let Self { table, id, .. } = self;
        let old = self.old();
        let results = if table == "batches" { "CAST(coalesce(sum(rows_stored), 0) AS bigint)" } else { "0" };
        let objects = format!(
            "SELECT count(*) AS objects, CAST({results} AS bigint) AS results FROM {table} WHERE {old}"
        );
        let files = format!(
            "SELECT count(*) AS files, CAST(coalesce(sum(bytes), 0) AS bigint) AS file_bytes FROM files \
             WHERE EXISTS (SELECT 1 FROM {table} WHERE {table}.project = files.project \
             AND {table}.{id} = files.object_id AND {old})"
        );
        let values = [Value::time(retention.before)];
        let counts = |row: &Row| Ok((row.count("objects")?, row.count("results")?));
        let (objects, results) = database.read_one(PRUNE, AssertSqlSafe(objects), &values, counts).await?;
        let counts = |row: &Row| Ok((row.count("files")?, row.count("file_bytes")?));
        let (files, file_bytes) = database.read_one(PRUNE, AssertSqlSafe(files), &values, counts).await?;
        Ok(Pruned { objects, results, files, file_bytes, ..Pruned::default() })
    }
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
    let from_line = (last - RESULTS_PER_STEP + 1).max(1);
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

/// Settled events without pending notifications, except the newest event of all: SQLite would reuse its `place` for the
/// next event, and followers would miss that one.
const OLD_EVENTS: &str = "events.family = $1 AND events.received_at < $2 AND events.state IN ('stored', 'dead') \
     AND events.place < (SELECT max(place) FROM events) AND NOT EXISTS (SELECT 1 FROM notifications \
     WHERE notifications.project = events.project AND notifications.webhook_id = events.webhook_id \
     AND notifications.state = 'pending')";

/// Counts old events and their notifications.
async fn count_events(database: &Database, retention: &Retention) -> Result<(u64, u64), StoreError> {
    let values = [Value::member(retention.family), Value::time(retention.before)];
    let events = format!("SELECT count(*) AS events FROM events WHERE {OLD_EVENTS}");
    let notifications = format!(
        "SELECT count(*) AS notifications FROM notifications WHERE (project, webhook_id) IN \
         (SELECT project, webhook_id FROM events WHERE {OLD_EVENTS})"
    );
    let count = |row: &Row| row.count("events");
    let events = database.read_one(PRUNE, AssertSqlSafe(events), &values, count).await?;
    let count = |row: &Row| row.count("notifications");
    Ok((events, database.read_one(PRUNE, AssertSqlSafe(notifications), &values, count).await?))
}

/// Deletes some old events with their notifications. Returns the number of each.
async fn delete_events(
    transaction: &mut WriteTransaction,
    retention: &Retention,
) -> sqlx::Result<(u64, u64)> {
    let page = format!("FROM events WHERE {OLD_EVENTS} ORDER BY place LIMIT {EVENTS_PER_STEP}");
    let values = [Value::member(retention.family), Value::time(retention.before)];
    let delete = format!(
        "DELETE FROM notifications WHERE state <> 'pending' \
         AND (project, webhook_id) IN (SELECT project, webhook_id {page})"
    );
    let notifications = transaction.execute(AssertSqlSafe(delete), &values).await?;
    let delete =
        format!("DELETE FROM events WHERE place IN (SELECT place {page}) AND state IN ('stored', 'dead')");
    let events = transaction.execute(AssertSqlSafe(delete), &values).await?;
    Ok((events, notifications))
}
