//! What ingest and worker both show of the Redis they share, under the same names.

use super::{Gauge, Gauges, Registry};

/// Redis, as a program sees it. Without Redis only `landfall_redis_up` is shown: no value is better than an old one.
#[derive(Debug, Clone)]
pub struct RedisMetrics {
    up: Gauge,
    faults: Gauges<1>,
    instances: Gauges<2>,
}

impl RedisMetrics {
    pub fn new(registry: &mut Registry) -> Self {
        Self {
            up: registry
                .gauge("landfall_redis_up", "1 while Redis answers this program, 0 while it does not"),
            faults: registry.gauges(
                "landfall_redis_fault",
                "1 for what is not as it should be with Redis now, such as volatile or evicts_events",
                ["fault"],
            ),
            instances: registry.gauges(
                "landfall_instances",
                "Programs that have reported themselves within 30 seconds",
                ["program", "version"],
            ),
        }
    }

    /// Redis answered: which of all faults it has, and how many of each program and version are alive.
    pub fn reached<'t>(
        &self,
        faults: impl Iterator<Item = (&'static str, bool)>,
        alive: impl Iterator<Item = (&'t str, &'t str, u64)>,
    ) {
        self.up.set(1.0);
        for (fault, is_there) in faults {
            self.faults.with([fault]).set(f64::from(u8::from(is_there)));
        }
        self.instances.clear();
        for (program, version, count) in alive {
            self.instances.with([program, version]).set(count as f64);
        }
    }

    /// Redis did not answer.
    pub fn lost(&self) {
        self.up.set(0.0);
        self.faults.clear();
        self.instances.clear();
    }
}
