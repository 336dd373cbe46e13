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

/// A page asks for a new read if the charts are older than this, or than the time of so many reads: with a million events a
/// day, a read costs the database 0.1 to 0.5 s, and it should not read all the time.
const FRESH_MIN: Duration = Duration::from_secs(1);
const FRESH_MAX: Duration = Duration::from_secs(10);
const FRESH_FOR_READS: u32 = 20;
/// Older charts are not shown.
const SHOWN_FOR: Duration = Duration::from_secs(120);
/// Longest time that a page waits for a new read, and for the first one.
const WAIT_MAX: Duration = Duration::from_millis(100);
const FIRST_WAIT_MAX: Duration = Duration::from_secs(1);

/// What was read last; nothing before the first read.
type LastRead = Option<Read>;

#[derive(Debug)]
struct Read {
    at: Instant,
    took: Duration,
    /// `None` if it could not be read.
    day: Option<Arc<Day>>,
}

impl Read {
    fn is_fresh(&self) -> bool {
        self.at.elapsed() < (self.took * FRESH_FOR_READS).clamp(FRESH_MIN, FRESH_MAX)
    }
}

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
                if !own.is_fresh() {
                    let started = Instant::now();
                    let day = read(&database).await.map(Arc::new);
                    sender.send_replace(Some(Read { at: Instant::now(), took: started.elapsed(), day }));
                }
            }
        }));
        reader
    }

    /// The day that ended within the last two minutes, after a new read if there is time for it.
    pub(crate) async fn recent(&self) -> Option<Arc<Day>> {
        if !self.is_fresh() {
            let wait_max = if self.has_any() { WAIT_MAX } else { FIRST_WAIT_MAX };
            let mut day = self.day.clone();
            day.mark_unchanged();
            self.wanted.notify_one();
            timeout(wait_max, day.changed()).await.ok();
        }
        let last = self.day.borrow();
        last.as_ref().filter(|read| read.at.elapsed() < SHOWN_FOR).and_then(|read| read.day.clone())
    }

    fn is_fresh(&self) -> bool {
        self.day.borrow().as_ref().is_some_and(Read::is_fresh)
    }

    /// Whether there are charts of a little earlier.
    fn has_any(&self) -> bool {
        self.day.borrow().as_ref().is_some_and(|read| read.at.elapsed() < SHOWN_FOR)
    }
}

async fn read(database: &Database) -> Option<Day> {
    let read = async {
        let store = database.reader().await?;
        Ok::<_, ApiError>(Day::read(store, Utc::now()).await?)
    };
    read.await.inspect_err(|error| tracing::warn!(error = chain(error), "the charts cannot be read")).ok()
}
