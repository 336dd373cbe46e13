//! Another content for a file of a batch that is stored already: it takes the place of the old one in one transaction, or
//! not at all.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::batch::{BatchResult, NewContent};
use crate::error::StoreError;
use crate::files::FileRecord;
use crate::store::Store;
use crate::tables::batch_replace::{self, Begun};

/// How often it is looked whether an import of the same batch has ended.
const POLL_EVERY: Duration = Duration::from_millis(50);

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// The new rows are stored, and the file's row is the new file's.
    Done,
    /// Nothing was changed: more lines of what is stored can be read.
    Fewer { stored: i64 },
    /// Nothing was changed: the batch names another file by now.
    Superseded,
    /// Nothing was changed: it was dropped before [`FileReplacement::commit`].
    GivenUp,
}

/// New rows on their way. Dropped before [`FileReplacement::commit`], it changes nothing. It is written by a task of its
/// own, which ends between two statements: a connection whose COPY was cut off is of no more use.
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
    /// Begins to put other rows in the place of those of a batch's file.
    pub fn replace_file(&self, content: NewContent) -> FileReplacement {
        let (steps, taken) = mpsc::channel(1);
        FileReplacement { steps, task: tokio::spawn(replace(self.clone(), content, taken)) }
    }
}

impl FileReplacement {
    /// Takes the next rows, by ascending line. False when no more are wanted: [`FileReplacement::commit`] says why.
    pub async fn add(&mut self, rows: Vec<BatchResult>) -> bool {
        self.steps.send(Step::Rows(rows)).await.is_ok()
    }

    /// Puts all rows, and the file's row, in the place of the old ones.
    ///
    /// # Errors
    /// When the database could not be written; then nothing was changed.
    pub async fn commit(self, file: FileRecord) -> Result<Replaced, StoreError> {
        // When it has ended already, its end says why.
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
    StoreError::database("replace the results of a batch's file")(source)
}
