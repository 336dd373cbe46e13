//! `process_*`: the standard process metrics of Prometheus, read from `/proc` at each scrape.

use std::fmt;

use procfs::process::{LimitValue, Process, Stat};
use procfs::{ProcResult, WithCurrentSystemInfo as _};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

#[derive(Debug)]
pub(super) struct ProcessCollector;

struct Sample {
    stat: Stat,
    resident_bytes: u64,
    open_fds: usize,
    /// `None` means unlimited.
    max_fds: Option<u64>,
    started_at_secs: f64,
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        // Without /proc only these metrics are missing.
        let Ok(sample) = Sample::take() else { return Ok(()) };
        let cpu_secs = (sample.stat.utime + sample.stat.stime) as f64 / procfs::ticks_per_second() as f64;
        let help = "User and system CPU time";
        metric(&mut encoder, "process_cpu_seconds", help, &ConstCounter::new(cpu_secs))?;
        let gauges = [
            ("process_resident_memory_bytes", "Resident memory", Some(sample.resident_bytes as f64)),
            ("process_virtual_memory_bytes", "Virtual memory", Some(sample.stat.vsize as f64)),
            ("process_open_fds", "Open file descriptors", Some(sample.open_fds as f64)),
            ("process_max_fds", "Limit of open file descriptors", sample.max_fds.map(|max| max as f64)),
            ("process_threads", "Threads", Some(sample.stat.num_threads as f64)),
            ("process_start_time_seconds", "Start time in Unix seconds", Some(sample.started_at_secs)),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                metric(&mut encoder, name, help, &ConstGauge::new(value))?;
            }
        }
        Ok(())
    }
}

fn metric(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> Result<(), fmt::Error> {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

impl Sample {
    fn take() -> ProcResult<Self> {
        let process = Process::myself()?;
        let stat = process.stat()?;
        let max_fds = match process.limits()?.max_open_files.soft_limit {
            LimitValue::Value(limit) => Some(limit),
            LimitValue::Unlimited => None,
        };
        Ok(Self {
            resident_bytes: stat.rss_bytes().get(),
            open_fds: process.fd_count()?,
            max_fds,
            started_at_secs: procfs::boot_time_secs()? as f64
                + stat.starttime as f64 / procfs::ticks_per_second() as f64,
            stat,
        })
    }
}
