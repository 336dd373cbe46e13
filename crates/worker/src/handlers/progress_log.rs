//! The speed of a download, and when to log it: often enough for a person who waits, without flooding the log.

use std::time::{Duration, Instant};

const LOG_EVERY: Duration = Duration::from_secs(10);

/// When a download was last logged, and its size then.
#[derive(Debug)]
pub(super) struct ProgressLog {
    logged_at: Instant,
    bytes_then: u64,
}

/// The speed since the last log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Speed {
    pub(super) bytes_per_sec: u64,
    /// The remaining time at this speed; `None` when nothing was received, or the file's size is unknown.
    pub(super) left_secs: Option<u64>,
}

impl ProgressLog {
    pub(super) fn new(now: Instant) -> Self {
        Self { logged_at: now, bytes_then: 0 }
    }

    /// The speed, when a log line is due. A shorter download is never logged.
    pub(super) fn due(&mut self, now: Instant, bytes: u64, total_bytes: Option<u64>) -> Option<Speed> {
        let elapsed = now.saturating_duration_since(self.logged_at);
        if elapsed < LOG_EVERY {
            return None;
        }
        let bytes_per_sec = (bytes.saturating_sub(self.bytes_then) as f64 / elapsed.as_secs_f64()) as u64;
        (self.logged_at, self.bytes_then) = (now, bytes);
        let left_bytes = total_bytes.map(|total| total.saturating_sub(bytes));
        let left_secs = left_bytes.filter(|_| bytes_per_sec > 0).map(|left| left.div_ceil(bytes_per_sec));
        Some(Speed { bytes_per_sec, left_secs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_download_is_logged_every_ten_seconds_with_its_speed() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut log = ProgressLog::new(start);
        assert_eq!(log.due(at(9), 900, Some(3000)), None);
        assert_eq!(
            log.due(at(10), 1000, Some(3000)),
            Some(Speed { bytes_per_sec: 100, left_secs: Some(20) })
        );
        assert_eq!(log.due(at(19), 1900, Some(3000)), None);
        assert_eq!(log.due(at(30), 2000, Some(3000)), Some(Speed { bytes_per_sec: 50, left_secs: Some(20) }));
        assert_eq!(log.due(at(40), 2000, None), Some(Speed { bytes_per_sec: 0, left_secs: None }));
        assert_eq!(log.due(at(50), 2000, Some(2000)), Some(Speed { bytes_per_sec: 0, left_secs: None }));
    }
}
