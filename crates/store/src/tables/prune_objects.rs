//! Retention of the tables of objects: which of them can be deleted, in the order in which they were received.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use webhook::Family;

use crate::database::{Database, WriteTransaction};
use crate::error::StoreError;
use crate::prune::{Pruned, Retention};
use crate::row::Row;
use crate::value::Value;

pub(super) const PRUNE: &str = "prune";
/// Rows deleted per transaction, at most: in SQLite, writes of workers wait for it. Each row is in several indexes, at
/// random places.
pub(super) const ROWS_PER_STEP: i64 = 250;

/// The tables of a family's objects.
#[derive(Debug, Clone, Copy)]
pub(super) struct Objects {
    table: &'static str,
    id: &'static str,
    /// Dependent tables, with the column that holds the object's id.
    parts: &'static [(&'static str, &'static str)],
    /// A further condition for deletion.
    unless: &'static str,
    /// Whether most objects are one row, without parts and files.
    pub(super) is_one_row: bool,
}

/// An object that can be deleted. The default sorts before all others.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidate {
    received_at: DateTime<Utc>,
    pub(super) project: String,
    pub(super) id: String,
}

impl Objects {
    /// `None` if the family has only events.
    pub(super) fn of(family: Family) -> Option<Self> {
        match family {
            Family::Response => Some(Self {
                table: "responses",
                id: "response_id",
                parts: &[("response_files", "response_id")],
                unless: "",
                is_one_row: true,
            }),
            Family::Batch => Some(Self {
                table: "batches",
                id: "batch_id",
                parts: &[],
                // Each attempt updates it; an old value was left by a crashed worker.
                unless: " AND (import_began_at IS NULL OR import_began_at < $1)",
                is_one_row: false,
            }),
            Family::FineTuning => Some(Self {
                table: "fine_tuning_jobs",
                id: "job_id",
                parts: &[
                    ("fine_tuning_metrics", "job_id"),
                    ("fine_tuning_checkpoints", "job_id"),
                    ("fine_tuning_events", "job_id"),
                    ("fine_tuned_models", "job_id"),
                ],
                unless: "",
                is_one_row: false,
            }),
            Family::Eval => {
                Some(Self { table: "eval_runs", id: "run_id", parts: &[], unless: "", is_one_row: true })
            }
            Family::Safety => Some(Self {
                table: "safety_alerts",
                id: "alert_id",
                parts: &[],
                unless: "",
                is_one_row: true,
            }),
            Family::Agent => Some(Self {
                table: "agent_sessions",
                id: "session_id",
                parts: &[("agent_turns", "session_id")],
                unless: "",
                is_one_row: false,
            }),
            Family::Realtime | Family::Other => None,
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

    /// Some old objects after `after`, in the order in which they were received.
    pub(super) async fn candidates(
        self,
        database: &Database,
        retention: &Retention,
        after: &Candidate,
        with_files: bool,
    ) -> Result<Vec<Candidate>, StoreError> {
        let Self { table, id, .. } = self;
        let select = format!(
            "SELECT project, {id} AS id, received_at FROM {table} WHERE received_at >= $2 \
             AND (received_at, project, {id}) > ($2, $3, $4) AND {} \
             ORDER BY received_at, project, {id} LIMIT {ROWS_PER_STEP}",
            if with_files { self.old() } else { self.old_without_files() }
        );
        let values = [
            Value::time(retention.before),
            Value::time(after.received_at),
            Value::text(&after.project),
            Value::key(&after.id),
        ];
        let candidate = |row: &Row| {
            Ok(Candidate {
                received_at: row.required_time("received_at")?,
                project: row.get("project")?,
                id: row.get("id")?,
            })
        };
        database.read(PRUNE, AssertSqlSafe(select), &values, candidate).await
    }

    /// Deletes those of the objects that can still be deleted. Returns how many.
    pub(super) async fn delete_without_files(
        self,
        transaction: &mut WriteTransaction,
        retention: &Retention,
        objects: &[Candidate],
    ) -> sqlx::Result<u64> {
        let Self { table, id, .. } = self;
        let mut by_project: BTreeMap<&str, Vec<&Candidate>> = BTreeMap::new();
        for object in objects {
            by_project.entry(&object.project).or_default().push(object);
        }
        let mut deleted = 0;
        // With a list of pairs instead of one project, SQLite would read all old objects.
        for (project, objects) in by_project {
            let mut values = vec![Value::time(retention.before), Value::text(project)];
            values.extend(objects.iter().map(|object| Value::key(&object.id)));
            let ids: Vec<String> = (3..=values.len()).map(|number| format!("${number}")).collect();
            let delete = format!(
                "DELETE FROM {table} WHERE project = $2 AND {id} IN ({}) AND {}",
                ids.join(", "),
                self.old_without_files()
            );
            deleted += transaction.execute(AssertSqlSafe(delete), &values).await?;
        }
        Ok(deleted)
    }

    /// For objects that are one row.
    fn old_without_files(self) -> String {
        let Self { table, id, parts, .. } = self;
        let mut old = self.old();
        for (part, part_id) in parts.iter().copied().chain([("files", "object_id")]) {
            old += &format!(
                " AND NOT EXISTS (SELECT 1 FROM {part} \
                 WHERE {part}.project = {table}.project AND {part}.{part_id} = {table}.{id})"
            );
        }
        old
    }

    /// Whether the object can still be deleted; if so, it is locked until the transaction ends.
    pub(super) async fn lock(
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

    pub(super) async fn delete(
        self,
        transaction: &mut WriteTransaction,
        object: &Candidate,
    ) -> sqlx::Result<()> {
        let values = [Value::text(&object.project), Value::key(&object.id)];
        for (table, id) in self.parts.iter().copied().chain([(self.table, self.id)]) {
            let delete = format!("DELETE FROM {table} WHERE project = $1 AND {id} = $2");
            transaction.execute(AssertSqlSafe(delete), &values).await?;
        }
        Ok(())
    }

    /// Counts the objects and files that all steps together would delete.
    pub(super) async fn count(
        self,
        database: &Database,
        retention: &Retention,
    ) -> Result<Pruned, StoreError> {
        let Self { table, id, .. } = self;
        let old = self.old();
        let (results, inputs) = match table {
            "batches" => (
                "coalesce(sum(rows_stored), 0)",
                format!(
                    "(SELECT count(*) FROM batch_inputs WHERE EXISTS (SELECT 1 FROM batches \
                     WHERE batches.project = batch_inputs.project \
                     AND batches.batch_id = batch_inputs.batch_id AND {old}))"
                ),
            ),
            _ => ("0", "0".to_owned()),
        };
        let objects = format!(
            "SELECT count(*) AS objects, CAST({results} AS bigint) AS results, CAST({inputs} AS bigint) AS inputs \
             FROM {table} WHERE {old}"
        );
        let files = format!(
            "SELECT count(*) AS files, CAST(coalesce(sum(bytes), 0) AS bigint) AS file_bytes FROM files \
             WHERE EXISTS (SELECT 1 FROM {table} WHERE {table}.project = files.project \
             AND {table}.{id} = files.object_id AND {old})"
        );
        let values = [Value::time(retention.before)];
        let counts = |row: &Row| Ok((row.count("objects")?, row.count("results")?, row.count("inputs")?));
        let (objects, results, inputs) =
            database.read_one(PRUNE, AssertSqlSafe(objects), &values, counts).await?;
        let counts = |row: &Row| Ok((row.count("files")?, row.count("file_bytes")?));
        let (files, file_bytes) = database.read_one(PRUNE, AssertSqlSafe(files), &values, counts).await?;
        Ok(Pruned { objects, results, inputs, files, file_bytes, ..Pruned::default() })
    }
}
