//! How long work has been past its turn. What waits on purpose is not late: a retry before it is due, and everything of
//! a paused family until the end of the pause.

use webhook::Family;

use crate::error::QueueError;
use crate::reader::QueueReader;

/// The oldest entry that no worker has seen, or the delayed one that is due first.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    /// When its turn came, or comes, in unix milliseconds.
    pub(crate) at_ms: i64,
    pub(crate) project: String,
}

impl Turn {
    /// `at_ms` is -1 when there is no such entry.
    pub(crate) fn of(at_ms: i64, project: Option<String>) -> Option<Self> {
        (at_ms >= 0).then(|| Self { at_ms, project: project.unwrap_or_default() })
    }

    /// By how much it is late.
    pub(crate) async fn overdue_ms(
        self,
        reader: &QueueReader,
        family: Family,
        now_ms: i64,
    ) -> Result<u64, QueueError> {
        if self.at_ms >= now_ms {
            return Ok(0);
        }
        let mut ask = redis::pipe();
        ask.pttl(reader.keys.pause(&self.project, family));
        ask.zscore(reader.keys.pauses(), format!("{}:{family}", self.project));
        let (left_ms, ends_ms): (i64, Option<f64>) = reader.query_all("look for a pause", &ask).await?;
        // -2: no pause is in force. -1: one was set by hand, without an end.
        if left_ms != -2 {
            return Ok(0);
        }
        // A pause that should still be in force was deleted by hand at an unknown time.
        let ended_ms = ends_ms.map(|ms| ms as i64).filter(|ms| *ms <= now_ms).unwrap_or(0);
        Ok(u64::try_from(now_ms - self.at_ms.max(ended_ms)).unwrap_or(0))
    }
}
