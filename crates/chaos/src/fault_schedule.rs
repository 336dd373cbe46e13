//! The fault schedule: kills or freezes a process about once per second, determined by the seed.

use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::cluster::{Cluster, past_the_lease};

const PAUSE_MS: std::ops::Range<u64> = 500..1300;
const REDIS_DOWN_MS_MAX: u64 = 400;

/// The faults injected so far.
#[derive(Debug, Default)]
pub(crate) struct Kills {
    pub(crate) redis: u32,
    pub(crate) ingest: u32,
    pub(crate) worker: u32,
    /// Workers that were stopped for longer than their lease, and then resumed.
    pub(crate) frozen: u32,
}

impl Kills {
    /// Processes killed with SIGKILL.
    pub(crate) fn all(&self) -> u32 {
        self.redis + self.ingest + self.worker
    }
}

pub(crate) struct FaultSchedule {
    rng: Rng,
    next: Instant,
    pub(crate) kills: Kills,
}

impl FaultSchedule {
    pub(crate) fn new(rng: Rng) -> Self {
        Self { rng, next: Instant::now() + Duration::from_secs(1), kills: Kills::default() }
    }

    pub(crate) fn inject_when_due(&mut self, cluster: &mut Cluster) -> anyhow::Result<()> {
        if Instant::now() < self.next {
            return Ok(());
        }
        self.inject(cluster)?;
        self.next = Instant::now() + Duration::from_millis(self.rng.u64(PAUSE_MS));
        Ok(())
    }

    fn inject(&mut self, cluster: &mut Cluster) -> anyhow::Result<()> {
        match self.rng.u32(..100) {
            0..20 => {
                cluster.kill_redis(Duration::from_millis(self.rng.u64(..REDIS_DOWN_MS_MAX)));
                self.kills.redis += 1;
            }
            20..50 => {
                let at = self.rng.usize(..cluster.ingests.len());
                cluster.ingests[at].kill_and_restart()?;
                self.kills.ingest += 1;
            }
            50..92 => {
                let at = self.rng.usize(..cluster.workers.len());
                cluster.workers[at].kill_and_restart()?;
                self.kills.worker += 1;
            }
            _ => {
                let at = self.rng.usize(..cluster.workers.len());
                if !cluster.workers[at].is_frozen() {
                    cluster.workers[at].freeze_until(past_the_lease());
                    self.kills.frozen += 1;
                }
            }
        }
        Ok(())
    }
}
