//! Lists of responses, batches, fine-tuning jobs and eval runs, newest first, page by page.

use sqlx::AssertSqlSafe;

use crate::error::StoreError;
use crate::object_summary::{ObjectFilter, ObjectList, ObjectSummary};
use crate::row::Row;
use crate::store::Store;
use crate::value::Value;

impl ObjectList {
    /// Its table, and the columns with the id and the model.
    fn columns(self) -> [&'static str; 3] {
        match self {
            Self::Responses => ["responses", "response_id", "model"],
            Self::Batches => ["batches", "batch_id", "model"],
            Self::FineTuningJobs => ["fine_tuning_jobs", "job_id", "base_model"],
            Self::EvalRuns => ["eval_runs", "run_id", "model"],
        }
    }
}

impl Store {
    /// Lists objects, newest first.
    pub async fn list_objects(&self, filter: &ObjectFilter) -> Result<Vec<ObjectSummary>, StoreError> {
        let (select, values) = select(filter);
        self.database.read("list objects", AssertSqlSafe(select), &values, summary).await
    }
}

fn select(filter: &ObjectFilter) -> (String, Vec<Value<'_>>) {
    let [table, id, model] = filter.list.columns();
    let mut values = vec![filter.limit.into()];
    let mut conditions = vec!["TRUE".to_owned()];
    let mut add = |value, condition: &dyn Fn(usize) -> String| {
        values.push(value);
        conditions.push(condition(values.len()));
    };
    if let Some(project) = &filter.project {
        add(Value::text(project), &|number| format!("project = ${number}"));
    }
    if let Some(status) = &filter.status {
        add(Value::text(status), &|number| format!("status = ${number}"));
    }
    if let Some(of_model) = &filter.model {
        add(Value::text(of_model), &|number| format!("{model} = ${number}"));
    }
    if let Some(since) = filter.since {
        add(Value::time(since), &|number| format!("received_at >= ${number}"));
    }
    if let Some(after) = &filter.after {
        // The first condition bounds the part of the index that is read.
        add(Value::time(after.at), &|number| format!("received_at <= ${number}"));
        add(Value::key(&after.id), &|number| format!("(received_at, {id}) < (${}, ${number})", number - 1));
    }
    let select = format!(
        "SELECT project, {id} AS id, status, {model} AS model, created_at, received_at, fetch_state, fetched_at, \
         terminal FROM {table} WHERE {} ORDER BY received_at DESC, {id} DESC LIMIT $1",
        conditions.join(" AND ")
    );
    (select, values)
}

fn summary(row: &Row) -> sqlx::Result<ObjectSummary> {
    Ok(ObjectSummary {
        project: row.get("project")?,
        id: row.get("id")?,
        status: row.get("status")?,
        model: row.get("model")?,
        created_at: row.time("created_at")?,
        received_at: row.required_time("received_at")?,
        fetch_state: row.maybe_known("fetch_state")?,
        fetched_at: row.time("fetched_at")?,
        terminal: row.get("terminal")?,
    })
}
