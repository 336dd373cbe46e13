//! [`Store`]: the objects that events are about.

use chrono::{DateTime, Utc};
use webhook::Family;

use super::Store;
use crate::error::StoreError;
use crate::eval_run::EvalRunRecord;
use crate::event::{Completion, EventRecord};
use crate::files::FileRecord;
use crate::fine_tuning::{FineTuningRecord, MetricRecord};
use crate::response::ResponseRecord;
use crate::tables;
use crate::unfetched::{FetchProgress, UnfetchedObject};

/// Objects that were not fetched.
impl Store {
    /// Objects that are known but were not read from the API, or not to their end, those received last first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn unfetched_objects(
        &self,
        since: Option<DateTime<Utc>>,
        limit: u32,
    ) -> Result<Vec<UnfetchedObject>, StoreError> {
        let objects = tables::unfetched::list(&self.database, since, limit).await;
        objects.map_err(StoreError::database("look for objects that were not fetched"))
    }

    /// The events that are about an object, the newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn events_about(&self, object_id: &str) -> Result<Vec<EventRecord>, StoreError> {
        let events = tables::unfetched::events_about(&self.database, object_id).await;
        events.map_err(StoreError::database("read an object's events"))
    }

    /// How far an object has come; `None` when it is not stored, or of a family that has no objects.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn fetch_progress(
        &self,
        project: &str,
        family: Family,
        object_id: &str,
    ) -> Result<Option<FetchProgress>, StoreError> {
        let progress = tables::unfetched::progress(&self.database, project, family, object_id).await;
        progress.map_err(StoreError::database("read an object's state"))
    }
}

/// Objects. Each is an upsert that only a better state passes: see the crate's guarantees.
impl Store {
    /// Stores a response together with the event.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn save_response(
        &self,
        response: &ResponseRecord,
        completion: &Completion,
    ) -> Result<(), StoreError> {
        let done = tables::responses::save(&self.database, response, completion).await;
        done.map_err(StoreError::database("store a response"))
    }

    /// Stores a job, its model and its metrics together with the event.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn save_fine_tuning(
        &self,
        fine_tuning: &FineTuningRecord,
        completion: &Completion,
    ) -> Result<(), StoreError> {
        let done = tables::fine_tuning::save(&self.database, fine_tuning, completion).await;
        done.map_err(StoreError::database("store a fine-tuning job"))
    }

    /// A job's loss curve, by step.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn fine_tuning_metrics(
        &self,
        project: &str,
        job_id: &str,
    ) -> Result<Vec<MetricRecord>, StoreError> {
        let metrics = tables::fine_tuning::metrics(&self.database, project, job_id).await;
        metrics.map_err(StoreError::database("read metrics"))
    }

    /// Stores an eval run together with the event.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn save_eval_run(
        &self,
        run: &EvalRunRecord,
        completion: &Completion,
    ) -> Result<(), StoreError> {
        let done = tables::eval_runs::save(&self.database, run, completion).await;
        done.map_err(StoreError::database("store an eval run"))
    }

    /// Stores a file's row. The file itself is there first.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn save_file(&self, file: &FileRecord) -> Result<(), StoreError> {
        tables::files::save(&self.database, file).await.map_err(StoreError::database("store a file's row"))
    }
}
