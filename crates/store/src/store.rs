//! [`Store`]: all that the programs can do with what is kept. Each call is one transaction of its dialect's module.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use webhook::{EventState, Family};

use crate::batch::{Appended, BatchChunk, BatchEnd, BatchProgress, BatchRecord, ResultFilter, ResultRow};
use crate::error::StoreError;
use crate::eval_run::EvalRunRecord;
use crate::event::{Completion, EventFilter, EventPlace, EventRecord, Failure, NewEvent};
use crate::files::{FileRecord, Files};
use crate::fine_tuning::{FineTuningRecord, MetricRecord};
use crate::folder_check::{self, FolderCheck};
use crate::found::Found;
use crate::response::ResponseRecord;
use crate::sqlite::{self, Sqlite};
use crate::unfetched::{FetchProgress, UnfetchedObject};

/// Where things are kept.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// `DATABASE_URL`. A secret: with some databases it holds a password.
    pub database_url: SecretString,
    /// `FILES_URL`.
    pub files_url: String,
}

/// The database and the raw files. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    sqlite: Sqlite,
    files: Files,
}

impl Store {
    /// Connects, makes what is missing, and brings the schema up to date. Safe with several workers starting at once.
    ///
    /// # Errors
    /// A setting that names nothing usable, a database that cannot be reached, or a migration that fails.
    pub async fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let files = Files::new(&config.files_url)?;
        let sqlite = Sqlite::open(config.database_url.expose_secret()).await?;
        files.prepare().await?;
        Ok(Self { sqlite, files })
    }

    /// Connects to what a worker has made. Changes nothing.
    ///
    /// # Errors
    /// Besides those of [`Store::open`], [`StoreError::NoDatabase`] and [`StoreError::OldSchema`].
    pub async fn open_existing(config: &StoreConfig) -> Result<Self, StoreError> {
        let files = Files::new(&config.files_url)?;
        let sqlite = Sqlite::open_existing(config.database_url.expose_secret()).await?;
        Ok(Self { sqlite, files })
    }

    /// The raw files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The version of the database's schema.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn schema_version(&self) -> Result<i64, StoreError> {
        self.sqlite.schema_version().await.map_err(StoreError::database("read the schema's version"))
    }

    /// Whether the folder of raw files takes what is written, and how much more. The database may be missing.
    ///
    /// # Errors
    /// A setting that names nothing usable, or a folder that cannot be written; its source says why.
    pub async fn check_files(config: &StoreConfig) -> Result<FolderCheck, StoreError> {
        folder_check::check("FILES_URL", Files::new(&config.files_url)?.root()).await
    }

    /// The same of the folder of the database, which SQLite writes to beside the database itself.
    ///
    /// # Errors
    /// As [`Store::check_files`].
    pub async fn check_database_folder(config: &StoreConfig) -> Result<FolderCheck, StoreError> {
        let folder = sqlite::folder(config.database_url.expose_secret())?;
        folder_check::check("DATABASE_URL", &folder).await
    }

    /// Closes all connections. Without it they end with the process, which loses nothing either.
    pub async fn close(&self) {
        self.sqlite.close().await;
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.sqlite.ping().await.map_err(StoreError::database("read"))
    }
}

/// Events.
impl Store {
    /// Writes the event at its first delivery, and counts attempts unless it is settled. The state found before.
    ///
    /// # Errors
    /// When the database cannot be written; so with all calls below that write.
    pub async fn record_delivery(&self, event: &NewEvent, attempt: u32) -> Result<EventState, StoreError> {
        let done = sqlite::events::record_delivery(&self.sqlite, event, attempt).await;
        done.map_err(StoreError::database("record a delivery"))
    }

    /// Stores an event that has nothing to fetch, in one transaction; one that is stored stays as it is.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn keep_event(&self, event: &NewEvent, completion: &Completion) -> Result<(), StoreError> {
        let done = sqlite::events::keep(&self.sqlite, event, completion).await;
        done.map_err(StoreError::database("keep an event"))
    }

    /// Turns the event to `stored`; one that is stays as it is.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn complete_event(&self, completion: &Completion) -> Result<(), StoreError> {
        let done = sqlite::events::complete(&self.sqlite, completion).await;
        done.map_err(StoreError::database("complete an event"))
    }

    /// Notes a failed attempt; never turns `stored` back.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn fail_event(&self, failure: &Failure) -> Result<(), StoreError> {
        let done = sqlite::events::fail(&self.sqlite, failure).await;
        done.map_err(StoreError::database("note a failed attempt"))
    }

    /// Events, the newest first.
    ///
    /// # Errors
    /// When the database cannot be read; so with all calls below that read.
    pub async fn list_events(&self, filter: &EventFilter) -> Result<Vec<EventRecord>, StoreError> {
        sqlite::events::list(&self.sqlite, filter).await.map_err(StoreError::database("list events"))
    }

    /// How many events there are of each family and state.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count_events(&self) -> Result<Vec<(Family, EventState, i64)>, StoreError> {
        sqlite::events::count(&self.sqlite).await.map_err(StoreError::database("count events"))
    }

    /// Rows of any table by webhook id, event id or the object's own id; for an id that only events name, those events.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn find(&self, id: &str) -> Result<Vec<Found>, StoreError> {
        sqlite::find::find(&self.sqlite, id).await.map_err(StoreError::database("look up an id"))
    }
}

/// Events in the order in which workers first saw them: to go through all, and to follow what comes.
impl Store {
    /// The newest event's place.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn newest_event(&self) -> Result<EventPlace, StoreError> {
        sqlite::event_order::newest(&self.sqlite).await.map_err(StoreError::database("read events"))
    }

    /// The next events after a place, up to and including another, with their places.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn events_between(
        &self,
        filter: &EventFilter,
        after: EventPlace,
        up_to: EventPlace,
    ) -> Result<Vec<(EventPlace, EventRecord)>, StoreError> {
        let events = sqlite::event_order::between(&self.sqlite, filter, after, up_to).await;
        events.map_err(StoreError::database("read events"))
    }

    /// How many events the filter chooses up to a place, its limit aside.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count_chosen(&self, filter: &EventFilter, up_to: EventPlace) -> Result<u64, StoreError> {
        let count = sqlite::event_order::count(&self.sqlite, filter, up_to).await;
        count.map_err(StoreError::database("count events"))
    }

    /// Events that may still change, the newest of each family, at most so many of it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn unsettled_events(&self, family: Family, limit: u32) -> Result<Vec<EventRecord>, StoreError> {
        let events = sqlite::event_order::unsettled(&self.sqlite, family, limit).await;
        events.map_err(StoreError::database("read events"))
    }

    /// Events by project and `webhook-id`, in any order; those that are not there are left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn events_named(&self, names: &[(String, String)]) -> Result<Vec<EventRecord>, StoreError> {
        let events = sqlite::event_order::named(&self.sqlite, names).await;
        events.map_err(StoreError::database("read events"))
    }
}

/// Objects that were not fetched.
impl Store {
    /// Objects that are known but were not read from the API, those received last first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn unfetched_objects(
        &self,
        since: Option<DateTime<Utc>>,
        limit: u32,
    ) -> Result<Vec<UnfetchedObject>, StoreError> {
        let objects = sqlite::unfetched::list(&self.sqlite, since, limit).await;
        objects.map_err(StoreError::database("look for objects that were not fetched"))
    }

    /// The events that are about an object, the newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn events_about(&self, object_id: &str) -> Result<Vec<EventRecord>, StoreError> {
        let events = sqlite::unfetched::events_about(&self.sqlite, object_id).await;
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
        let progress = sqlite::unfetched::progress(&self.sqlite, project, family, object_id).await;
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
        let done = sqlite::responses::save(&self.sqlite, response, completion).await;
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
        let done = sqlite::fine_tuning::save(&self.sqlite, fine_tuning, completion).await;
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
        let metrics = sqlite::fine_tuning::metrics(&self.sqlite, project, job_id).await;
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
        let done = sqlite::eval_runs::save(&self.sqlite, run, completion).await;
        done.map_err(StoreError::database("store an eval run"))
    }

    /// Stores a file's row. The file itself is there first.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn save_file(&self, file: &FileRecord) -> Result<(), StoreError> {
        sqlite::files::save(&self.sqlite, file).await.map_err(StoreError::database("store a file's row"))
    }
}

/// Batches: begin, append chunk by chunk, finish.
impl Store {
    /// Stores the batch itself, and says where its files are to be taken up.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn begin_batch(&self, batch: &BatchRecord) -> Result<BatchProgress, StoreError> {
        let progress = sqlite::batches::begin(&self.sqlite, batch).await;
        progress.map_err(StoreError::database("store a batch"))
    }

    /// Adds a chunk if the batch is at its first line, and moves on: of two workers only one gets each line in.
    ///
    /// # Errors
    /// [`StoreError::OutOfStep`] when lines before the chunk are missing; when the database cannot be written.
    pub async fn append_batch_results(&self, chunk: &BatchChunk) -> Result<Appended, StoreError> {
        let Some(first) = chunk.rows.first() else {
            return Ok(Appended::Added);
        };
        debug_assert!(first.line >= chunk.first_line && chunk.rows.is_sorted_by(|a, b| a.line < b.line));
        let found = sqlite::batches::append(&self.sqlite, chunk).await;
        match found.map_err(StoreError::database("store results of a batch"))? {
            Some(next_line) if next_line == chunk.first_line => Ok(Appended::Added),
            Some(next_line) if next_line > chunk.first_line => Ok(Appended::Overtaken { next_line }),
            next_line => Err(StoreError::OutOfStep {
                batch_id: chunk.batch_id.clone(),
                next_line,
                first_line: chunk.first_line,
            }),
        }
    }

    /// Says how the import ended, together with the event. Complete stays complete.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn finish_batch(
        &self,
        batch_id: &str,
        end: BatchEnd,
        completion: &Completion,
    ) -> Result<(), StoreError> {
        let done = sqlite::batches::finish(&self.sqlite, batch_id, end, completion).await;
        done.map_err(StoreError::database("complete a batch"))
    }

    /// A batch's results.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn batch_results(&self, filter: &ResultFilter) -> Result<Vec<ResultRow>, StoreError> {
        let rows = sqlite::batches::results(&self.sqlite, filter).await;
        rows.map_err(StoreError::database("read results of a batch"))
    }
}
