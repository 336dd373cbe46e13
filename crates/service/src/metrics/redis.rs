//! Metrics about Redis that all programs export under the same names.

use super::{Gauge, Gauges, Registry};

/// Redis as seen by a program. While Redis is unreachable only `landfall_redis_up` is exported: no value is better than
/// an outdated one.
#[derive(Debug, Clone)]
pub struct RedisMetrics {
    up: Gauge,
    faults: Gauges<1>,
    instances: Gauges<2>,
}

impl RedisMetrics {
    pub fn new(registry: &mut Registry) -> Self {
        Self {
            up: registry.gauge("landfall_redis_up", "1 if Redis responds to this program, otherwise 0"),
            faults: registry.gauges(
                "landfall_redis_fault",
                "1 for each current fault of Redis, such as volatile or evicts_events",
                ["fault"],
            ),
            instances: registry.gauges(
                "landfall_instances",
                "Program instances seen within the last 30 seconds",
                ["program", "version"],
            ),
        }
    }

    /// Redis responded: records its faults, and the number of live instances of each program and version.
    pub fn reached<'t>(
        &self,
        faults: impl Iterator<Item = (&'static str, bool)>,
        alive: impl Iterator<Item = (&'t str, &'t str, u64)>,
    ) {
        self.up.set(1.0);
        for (fault, is_present) in faults {
            self.faults.with([fault]).set(f64::from(u8::from(is_present)));
        }
        self.instances.clear();
        for (program, version, count) in alive {
            self.instances.with([program, version]).set(count as f64);
        }
    }

    /// Redis did not respond.
    pub fn lost(&self) {
        self.up.set(0.0);
        self.faults.clear();
        self.instances.clear();
    }
}
