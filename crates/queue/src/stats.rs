//! Queue statistics for the CLI, metrics and readiness: how many entries are queued, and how old they are. Read-only;
//! operators' actions are in `dead_letters.rs`. An intended wait does not count as overdue: a retry before it is due,
//! and all entries of a paused family until the pause ends.

use serde::Serialize;
use webhook::Family;

use crate::admin::QueueAdmin;
use crate::error::QueueError;
use crate::keys::GROUP;
use crate::scripts::{self, STEP_BYTES_MAX};

/// Undelivered entries that are counted individually.
const COUNT_MAX: usize = 1000;

/// Undelivered, pending, delayed, dead; the age of the oldest entry in milliseconds or -1; the time; the time the first
/// undelivered entry was added, with its project; the time the first due entry was due, with its project.
type Counts = (u64, u64, u64, u64, i64, i64, i64, Option<String>, i64, Option<String>);

/// The counts of one family, taken at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FamilyStats {
    pub family: Family,
    /// Entries not delivered yet. Counted individually up to 1000 entries or 1 MiB; beyond that, the rest of the
    /// stream.
    pub undelivered: u64,
    /// Entries leased by workers.
    pub pending: u64,
    /// Entries that wait for their retry.
    pub delayed: u64,
    pub dead: u64,
    /// Age of the oldest unfinished entry.
    pub oldest_ms: Option<u64>,
    /// How long the next entry has been overdue: an undelivered entry since it was added, a retry since it was due,
    /// both not before their family's pause ended.
    pub overdue_ms: u64,
}

impl FamilyStats {
    /// All unfinished entries. Equals the stream's length unless entries were lost between the sets.
    pub fn backlog(&self) -> u64 {
        self.undelivered + self.pending + self.delayed
    }
}

impl QueueAdmin {
    /// Every family, in the order of [`Family::ALL`].
    pub async fn stats(&self) -> Result<Vec<FamilyStats>, QueueError> {
        let mut all = Vec::with_capacity(Family::ALL.len());
        for &family in Family::ALL {
            let keys = &self.keys;
            let mut script = scripts::STATS.prepare_invoke();
            script.key(keys.events(family)).key(keys.delayed(family)).key(keys.dead(family));
            script.arg(GROUP).arg(COUNT_MAX).arg(STEP_BYTES_MAX);
            let counts: Counts = self.invoke("count entries", &script).await?;
            let (undelivered, pending, delayed, dead, oldest_ms, now_ms, came_ms, of, due_ms, due_of) =
                counts;
            let oldest_ms = u64::try_from(oldest_ms).ok();
            let came = self.overdue_ms(family, (came_ms, of), now_ms).await?;
            let overdue_ms = came.max(self.overdue_ms(family, (due_ms, due_of), now_ms).await?);
            all.push(FamilyStats { family, undelivered, pending, delayed, dead, oldest_ms, overdue_ms });
        }
        Ok(all)
    }
    /// How long an entry is overdue: the time it was added or due in unix milliseconds (-1 when there is no such
    /// entry), and its project.
    async fn overdue_ms(
        &self,
        family: Family,
        (ready_ms, project): (i64, Option<String>),
        now_ms: i64,
    ) -> Result<u64, QueueError> {
        if ready_ms < 0 || ready_ms >= now_ms {
            return Ok(0);
        }
        let project = project.unwrap_or_default();
        let mut ask = redis::pipe();
        ask.pttl(self.keys.pause(&project, family));
        ask.zscore(self.keys.pauses(), format!("{project}:{family}"));
        let (left_ms, ends_ms): (i64, Option<f64>) = self.query_all("look for a pause", &ask).await?;
        // -2: no pause. -1: a pause without a TTL, set manually.
        if left_ms != -2 {
            return Ok(0);
        }
        // A pause that should still be in effect was deleted manually at an unknown time.
        let ended_ms = ends_ms.map(|ms| ms as i64).filter(|ms| *ms <= now_ms).unwrap_or(0);
        Ok(u64::try_from(now_ms - ready_ms.max(ended_ms)).unwrap_or(0))
    }
}
