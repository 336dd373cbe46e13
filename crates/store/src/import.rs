//! Batch imports in progress, with their progress and speed.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// A batch whose files are being stored, or that waits for the next attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    pub project: String,
    pub batch_id: String,
    pub rows_stored: i64,
    /// The expected number of rows, if OpenAI reported it.
    pub requests_total: Option<i64>,
    /// When the latest attempt began.
    pub began_at: DateTime<Utc>,
    /// The number of rows at that time.
    pub began_rows: i64,
}

impl Import {
    /// Rows per second since the attempt began. Falls while the batch waits for its next attempt.
    pub fn rows_per_sec(&self, now: DateTime<Utc>) -> f64 {
        let elapsed = (now - self.began_at).to_std().unwrap_or_default();
        let rows = self.rows_stored.saturating_sub(self.began_rows).max(0) as f64;
        if elapsed.is_zero() { 0.0 } else { rows / elapsed.as_secs_f64() }
    }

    /// Time left at this speed; `None` while nothing is stored or the total is unknown.
    pub fn left(&self, now: DateTime<Utc>) -> Option<Duration> {
        let rows = self.requests_total?.saturating_sub(self.rows_stored).max(0) as f64;
        Duration::try_from_secs_f64(rows / self.rows_per_sec(now)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(rows_stored: i64, requests_total: Option<i64>) -> Import {
        let (project, batch_id) = ("default".to_owned(), "batch_1".to_owned());
        Import { project, batch_id, rows_stored, requests_total, began_at: at(0), began_rows: 1000 }
    }

    fn at(secs: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(secs, 0).unwrap()
    }

    #[test]
    fn speed_is_computed_from_the_start_of_the_attempt() {
        let import = import(3000, Some(5000));
        assert_eq!(import.rows_per_sec(at(10)), 200.0);
        assert_eq!(import.left(at(10)), Some(Duration::from_secs(10)));
    }

    #[test]
    fn an_unknown_remaining_time_is_none() {
        assert_eq!(import(1000, Some(5000)).left(at(10)), None, "no progress");
        assert_eq!(import(3000, None).left(at(10)), None);
        assert_eq!(import(3000, Some(5000)).rows_per_sec(at(-5)), 0.0, "another clock");
        assert_eq!(import(6000, Some(5000)).left(at(10)), Some(Duration::ZERO));
    }
}
