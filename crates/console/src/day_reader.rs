//! The last 24 hours for the charts, read for all pages together at the start and when one wants them. A page does not wait long:
//! it shows the charts of a little earlier instead.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use error_text::chain;
use operations::day::Day;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::problem::ApiError;

/// A page asks for a new read if the charts are older. With a million events a day, a read costs the database 0.1 to 0.5 s.
const FRESH: Duration = Duration::from_secs(10);
/// Older charts are not shown.
const SHOWN_FOR: Duration = Duration::from_secs(120);
/// Longest time that a page waits for a new read, and for the first one.
const WAIT_MAX: Duration = Duration::from_millis(100);
const FIRST_WAIT_MAX: Duration = Duration::from_secs(1);

/// When it was read, and what was read; `None` if it could not be read.
type LastRead = Option<(Instant, Option<Arc<Day>>)>;

/// Reads the day. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct DayReader {
    day: watch::Receiver<LastRead>,
    wanted: Arc<Notify>,
}

impl DayReader {
    /// Begins to read when a page wants it, until `stopped`.
    pub(crate) fn start(database: Database, stopped: CancellationToken) -> Self {
        let (sender, day) = watch::channel(None);
        let wanted = Arc::new(Notify::new());
        // The first page need not wait.
        wanted.notify_one();
        let reader = Self { day, wanted: wanted.clone() };
        let own = reader.clone();
        tokio::spawn(stopped.run_until_cancelled_owned(async move {
            loop {
                wanted.notified().await;
                // Several pages may have wanted the last read.
                if own.known(FRESH).is_none() {
                    let day = read(&database).await.map(Arc::new);
                    sender.send_replace(Some((Instant::now(), day)));
                }
            }
        }));
        reader
    }

    /// The day that ended within the last two minutes, after a new read if there is time for it.
    pub(crate) async fn recent(&self) -> Option<Arc<Day>> {
        if self.known(FRESH).is_none() {
            let wait_max = if self.known(SHOWN_FOR).is_some() { WAIT_MAX } else { FIRST_WAIT_MAX };
            let mut day = self.day.clone();
            day.mark_unchanged();
            self.wanted.notify_one();
            timeout(wait_max, day.changed()).await.ok();
        }
        self.known(SHOWN_FOR).flatten()
    }

    /// What was read within this time; the outer `None` if nothing was tried.
    fn known(&self, within: Duration) -> Option<Option<Arc<Day>>> {
        let last = self.day.borrow();
        last.as_ref().filter(|(at, _)| at.elapsed() < within).map(|(_, day)| day.clone())
    }
}

async fn read(database: &Database) -> Option<Day> {
    let read = async {
        let store = database.reader().await?;
        Ok::<_, ApiError>(Day::read(store, Utc::now()).await?)
    };
    read.await.inspect_err(|error| tracing::warn!(error = chain(error), "the charts cannot be read")).ok()
}
