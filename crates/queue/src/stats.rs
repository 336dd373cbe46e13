//! The look from outside, for people, metrics and readiness: how much is queued, and how old it is. Changes nothing; what
//! an operator may change is in `dead_letters.rs`. What waits on purpose is not late: a retry before it is due, and everything of
//! a paused family until the end of the pause.

use serde::Serialize;
use webhook::Family;

use crate::admin::QueueAdmin;
use crate::error::QueueError;
use crate::keys::GROUP;
use crate::scripts::{self, STEP_BYTES_MAX};

/// Undelivered entries that are counted one by one.
const COUNT_MAX: usize = 1000;

/// Undelivered, pending, delayed, dead; the age of the oldest entry in milliseconds or -1; the time; since when the first
/// undelivered and the first due entry wait, with their projects.
type Counts = (u64, u64, u64, u64, i64, i64, i64, Option<String>, i64, Option<String>);

/// What one family has, all counted in the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FamilyStats {
    pub family: Family,
    /// Entries no worker has seen yet. Counted one by one up to a thousand or 1 MiB; beyond it, the rest of the stream.
    pub undelivered: u64,
    /// In a worker's hands.
    pub pending: u64,
    /// Waiting for their retry.
    pub delayed: u64,
    pub dead: u64,
    /// Age of the oldest entry that is not done.
    pub oldest_ms: Option<u64>,
    /// For how long the work that should run next has been past its turn: an entry no worker has seen, from when it
    /// came; a retry, from when it was due; both not before the end of their family's pause.
    pub overdue_ms: u64,
}

impl FamilyStats {
    /// All that is not done. Equals the stream's length unless entries were lost between the sets.
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
    /// By how much the turn of an entry is over: when it came, in unix milliseconds, and of which project it is. -1 when
    /// there is no such entry.
    async fn overdue_ms(
        &self,
        family: Family,
        (turn_ms, project): (i64, Option<String>),
        now_ms: i64,
    ) -> Result<u64, QueueError> {
        if turn_ms < 0 || turn_ms >= now_ms {
            return Ok(0);
        }
        let project = project.unwrap_or_default();
        let mut ask = redis::pipe();
        ask.pttl(self.keys.pause(&project, family));
        ask.zscore(self.keys.pauses(), format!("{project}:{family}"));
        let (left_ms, ends_ms): (i64, Option<f64>) = self.query_all("look for a pause", &ask).await?;
        // -2: no pause is in force. -1: one was set by hand, without an end.
        if left_ms != -2 {
            return Ok(0);
        }
        // A pause that should still be in force was deleted by hand at an unknown time.
        let ended_ms = ends_ms.map(|ms| ms as i64).filter(|ms| *ms <= now_ms).unwrap_or(0);
        Ok(u64::try_from(now_ms - turn_ms.max(ended_ms)).unwrap_or(0))
    }
}
