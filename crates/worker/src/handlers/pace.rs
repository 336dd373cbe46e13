//! How fast a download goes, and when to say so: seldom enough for a log, often enough for one who waits.

use std::time::{Duration, Instant};

const TELL_EVERY: Duration = Duration::from_secs(10);

/// When a download was last spoken of, and how far it was then.
#[derive(Debug)]
pub(super) struct Pace {
    told_at: Instant,
    bytes_then: u64,
}

/// Since it was last spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Speed {
    pub(super) bytes_per_sec: u64,
    /// At this speed; `None` when nothing came, or nobody said how long the file is.
    pub(super) left_secs: Option<u64>,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { told_at: now, bytes_then: 0 }
    }

    /// The speed when it is time to tell. A download shorter than that is never spoken of.
    pub(super) fn due(&mut self, now: Instant, bytes: u64, total_bytes: Option<u64>) -> Option<Speed> {
        let elapsed = now.saturating_duration_since(self.told_at);
        if elapsed < TELL_EVERY {
            return None;
        }
        let bytes_per_sec = (bytes.saturating_sub(self.bytes_then) as f64 / elapsed.as_secs_f64()) as u64;
        (self.told_at, self.bytes_then) = (now, bytes);
        let left_bytes = total_bytes.map(|total| total.saturating_sub(bytes));
        let left_secs = left_bytes.filter(|_| bytes_per_sec > 0).map(|left| left.div_ceil(bytes_per_sec));
        Some(Speed { bytes_per_sec, left_secs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_download_is_spoken_of_every_ten_seconds_with_its_speed() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut pace = Pace::new(start);
        assert_eq!(pace.due(at(9), 900, Some(3000)), None);
        assert_eq!(
            pace.due(at(10), 1000, Some(3000)),
            Some(Speed { bytes_per_sec: 100, left_secs: Some(20) })
        );
        assert_eq!(pace.due(at(19), 1900, Some(3000)), None);
        assert_eq!(
            pace.due(at(30), 2000, Some(3000)),
            Some(Speed { bytes_per_sec: 50, left_secs: Some(20) })
        );
        assert_eq!(pace.due(at(40), 2000, None), Some(Speed { bytes_per_sec: 0, left_secs: None }));
        assert_eq!(pace.due(at(50), 2000, Some(2000)), Some(Speed { bytes_per_sec: 0, left_secs: None }));
    }
}
