//! Replaces the content of a batch file that is already stored: in one transaction, or not at all.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::batch::{BatchResult, NewContent};
use crate::error::StoreError;
use crate::files::FileRecord;
use crate::store::Store;
use crate::tables::batch_replace::{self, Begun};

/// How often to check whether an import of the same batch has ended.
const POLL_EVERY: Duration = Duration::from_millis(50);

/// The outcome of a replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// The new rows and the new file's row are stored.
    Done,
    /// Nothing was changed: the stored file has more readable lines.
    Fewer { stored: i64 },
    /// Nothing was changed: the batch refers to another file by now.
    Superseded,
    /// Nothing was changed: the replacement was dropped before [`FileReplacement::commit`].
    GivenUp,
}

/// A replacement in progress. If it is dropped before [`FileReplacement::commit`], nothing changes. A separate task
/// writes the rows and stops only between two statements: a connection whose COPY was interrupted cannot be reused.
#[must_use = "nothing is replaced unless it is committed"]
pub struct FileReplacement {
    steps: mpsc::Sender<Step>,
    task: JoinHandle<Result<Replaced, StoreError>>,
}

enum Step {
    Rows(Vec<BatchResult>),
    Commit(Box<FileRecord>),
}

impl Store {
    /// Begins to replace the rows of a batch's file.
    pub fn replace_file(&self, content: NewContent) -> FileReplacement {
        let (steps, taken) = mpsc::channel(1);
        FileReplacement { steps, task: tokio::spawn(replace(self.clone(), content, taken)) }
    }
}

impl FileReplacement {
    /// Whether the content may replace the stored one. Changes nothing.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn check(self) -> Result<bool, StoreError> {
        let Self { steps, task } = self;
        drop(steps);
        let ended = task.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        ended.map(|ended| ended == Replaced::GivenUp)
    }

    /// Adds the next rows, in ascending line order. Returns false when no more rows are needed:
    /// [`FileReplacement::commit`] says why.
    pub async fn add(&mut self, rows: Vec<BatchResult>) -> bool {
        self.steps.send(Step::Rows(rows)).await.is_ok()
    }

    /// Replaces the old rows and the file's row.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing was changed.
    pub async fn commit(self, file: FileRecord) -> Result<Replaced, StoreError> {
        // If the task has already ended, its result says why.
        let _ = self.steps.send(Step::Commit(Box::new(file))).await;
        match self.task.await {
            Ok(ended) => ended,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

async fn replace(
    store: Store,
    content: NewContent,
    mut steps: mpsc::Receiver<Step>,
) -> Result<Replaced, StoreError> {
    let mut replacing = loop {
        match batch_replace::begin(&store.database, &content).await.map_err(failed)? {
            Begun::Ready(replacing) => break replacing,
            Begun::Busy if steps.is_closed() => return Ok(Replaced::GivenUp),
            Begun::Busy => tokio::time::sleep(POLL_EVERY).await,
            Begun::Superseded => return Ok(Replaced::Superseded),
            Begun::Fewer { stored } => return Ok(Replaced::Fewer { stored }),
        }
    };
    loop {
        match steps.recv().await {
            Some(Step::Rows(rows)) => replacing.add(rows).await.map_err(failed)?,
            Some(Step::Commit(file)) => {
                replacing.commit(&file).await.map_err(failed)?;
                return Ok(Replaced::Done);
            }
            None => {
                replacing.rollback().await.map_err(failed)?;
                return Ok(Replaced::GivenUp);
            }
        }
    }
}

fn failed(source: sqlx::Error) -> StoreError {
    StoreError::database("replace the results of a batch file")(source)
}
