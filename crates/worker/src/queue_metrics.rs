//! The metrics of the queue. They are removed while Redis is down: no value is better than an outdated one.

use queue::{DeadLetter, FamilyStats, Pause};
use service::metrics::{Gauges, Registry};
use webhook::{Family, Reason};

/// The backlog, and how overdue it is. Cheap to clone.
#[derive(Clone)]
pub(crate) struct QueueMetrics {
    backlog: Gauges<2>,
    oldest_seconds: Gauges<1>,
    overdue_seconds: Gauges<1>,
    dead_letters: Gauges<2>,
    pause_seconds: Gauges<1>,
}

impl QueueMetrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        Self {
            backlog: registry.gauges("landfall_queue_backlog", "Entries in the queue", ["family", "state"]),
            oldest_seconds: registry.gauges(
                "landfall_queue_oldest_seconds",
                "Age of the oldest entry, including intended waits",
                ["family"],
            ),
            overdue_seconds: registry.gauges(
                "landfall_queue_overdue_seconds",
                "How long the next entry has been overdue",
                ["family"],
            ),
            dead_letters: registry.gauges(
                "landfall_dead_letters",
                "Dead letters by reason; of many, only the newest are counted",
                ["family", "reason"],
            ),
            pause_seconds: registry.gauges(
                "landfall_pause_seconds",
                "Remaining pause of the family after a 429; 0 when it is not paused",
                ["family"],
            ),
        }
    }

    pub(crate) fn family(&self, stats: &FamilyStats) {
        let family = stats.family.as_str();
        let states = [
            ("undelivered", stats.undelivered),
            ("pending", stats.pending),
            ("delayed", stats.delayed),
            ("dead", stats.dead),
        ];
        for (state, entries) in states {
            self.backlog.with([family, state]).set(entries as f64);
        }
        self.oldest_seconds.with([family]).set(stats.oldest_ms.unwrap_or(0) as f64 / 1000.0);
        self.overdue_seconds.with([family]).set(stats.overdue_ms as f64 / 1000.0);
    }

    pub(crate) fn dead_letters(&self, family: Family, letters: &[DeadLetter]) {
        for reason in Reason::ALL {
            let count = letters.iter().filter(|letter| letter.reason == Some(*reason)).count();
            self.dead_letters.with([family.as_str(), reason.as_str()]).set(count as f64);
        }
    }

    /// The longest pause of all projects.
    pub(crate) fn pauses(&self, pauses: &[Pause]) {
        for family in Family::ALL {
            let of_family = pauses.iter().filter(|pause| pause.family == *family);
            let longest = of_family.map(|pause| pause.left).max().unwrap_or_default();
            self.pause_seconds.with([family.as_str()]).set(longest.as_secs_f64());
        }
    }

    /// Redis does not respond.
    pub(crate) fn clear(&self) {
        self.backlog.clear();
        self.oldest_seconds.clear();
        self.overdue_seconds.clear();
        self.dead_letters.clear();
        self.pause_seconds.clear();
    }
}
