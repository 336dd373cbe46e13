//! Metrics by their full names, as documented and scraped: prometheus-client expects counters without `_total` and
//! would print the suffix twice. Labels are fixed when a metric is created; their values come from closed sets.

mod process;
mod redis;

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabel as _, EncodeLabelSet, EncodeMetric as _, LabelSetEncoder,
};
use prometheus_client::metrics::counter::{ConstCounter, Counter as PrometheusCounter};
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge as PrometheusGauge;
use prometheus_client::metrics::histogram::Histogram as PrometheusHistogram;
use prometheus_client::metrics::info::Info;

/// The content type of `/metrics`: OpenMetrics text, which Prometheus supports since 2.5.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub use redis::RedisMetrics;

/// Buckets of `landfall_event_lag_seconds`, identical in every program so that stages can be compared and summed: from
/// an immediate delivery to the last retry 72 hours later. OpenAI's `created_at` has whole seconds.
pub const LAG_SECONDS: &[f64] = &[0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 43_200.0, 259_200.0];

/// A value that only increases.
pub type Counter = PrometheusCounter;
/// A value that can go up and down.
pub type Gauge = PrometheusGauge<f64, AtomicU64>;
/// A distribution.
pub type Histogram = PrometheusHistogram;

/// All metrics of one program.
#[derive(Debug, Default)]
pub struct Registry {
    inner: prometheus_client::registry::Registry,
}

/// One metric for each combination of label values.
#[derive(Debug, Clone)]
pub struct Labelled<const N: usize, M, C = fn() -> M> {
    names: [&'static str; N],
    family: Family<Labels<N>, M, C>,
}

pub type Counters<const N: usize> = Labelled<N, Counter>;
pub type Gauges<const N: usize> = Labelled<N, Gauge>;
pub type Histograms<const N: usize> = Labelled<N, Histogram, Buckets>;

impl Registry {
    /// The registry of a program, including `landfall_build_info` and `process_*`.
    pub fn for_program(program: &str) -> Self {
        let mut registry = Self::default();
        let labels = Labels::new(["program", "version"], [program, env!("CARGO_PKG_VERSION")]);
        registry.inner.register("landfall_build", "The running program and its version", Info::new(labels));
        registry.inner.register_collector(Box::new(process::ProcessCollector));
        registry
    }

    /// A counter without labels.
    ///
    /// # Panics
    /// When the name does not end in `_total`, which is required for counters.
    pub fn counter(&mut self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        self.inner.register(counter_name(name), help, counter.clone());
        counter
    }

    /// Counters with labels.
    ///
    /// # Panics
    /// When the name does not end in `_total`, which is required for counters.
    pub fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
    ) -> Counters<N> {
        let family = Family::default();
        self.inner.register(counter_name(name), help, family.clone());
        Labelled { names: labels, family }
    }

    /// A counter whose value is maintained elsewhere, and read at each scrape.
    ///
    /// # Panics
    /// When the name does not end in `_total`, which is required for counters.
    pub fn counter_from_fn(&mut self, name: &'static str, help: &'static str, read: fn() -> u64) {
        let counter = FnCounter { name: counter_name(name), help, read };
        self.inner.register_collector(Box::new(counter));
    }

    /// A gauge without labels.
    pub fn gauge(&mut self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.inner.register(name, help, gauge.clone());
        gauge
    }

    /// Gauges with labels.
    pub fn gauges<const N: usize>(&mut self, name: &str, help: &str, labels: [&'static str; N]) -> Gauges<N> {
        let family = Family::default();
        self.inner.register(name, help, family.clone());
        Labelled { names: labels, family }
    }

    /// A histogram without labels. `buckets` are increasing upper bounds, in the unit of the name.
    pub fn histogram(&mut self, name: &str, help: &str, buckets: &'static [f64]) -> Histogram {
        let histogram = Histogram::new(buckets.iter().copied());
        self.inner.register(name, help, histogram.clone());
        histogram
    }

    /// Histograms with labels.
    pub fn histograms<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
        buckets: &'static [f64],
    ) -> Histograms<N> {
        let family = Family::new_with_constructor(Buckets(buckets));
        self.inner.register(name, help, family.clone());
        Labelled { names: labels, family }
    }

    /// All metrics as OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.inner)
            .expect("writing to a String cannot fail");
        text
    }
}

impl<const N: usize, M: Clone, C: MetricConstructor<M>> Labelled<N, M, C> {
    /// The metric with these label values, in the order of the label names. Calling it creates the metric, at 0.
    pub fn with(&self, values: [&str; N]) -> M {
        self.family.get_or_create_owned(&Labels::new(self.names, values))
    }

    /// Removes all of them: no value is better than an outdated one.
    pub fn clear(&self) {
        self.family.clear();
    }
}

/// The upper bounds of the buckets of a histogram.
#[derive(Debug, Clone, Copy)]
pub struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

#[derive(Debug)]
struct FnCounter {
    name: &'static str,
    help: &'static str,
    read: fn() -> u64,
}

impl Collector for FnCounter {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counter = ConstCounter::new((self.read)());
        // The encoder adds the full stop after the help only for registered metrics.
        let help = format!("{}.", self.help);
        counter.encode(encoder.encode_descriptor(self.name, &help, None, counter.metric_type())?)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Labels<const N: usize> {
    names: [&'static str; N],
    values: [String; N],
}

impl<const N: usize> Labels<N> {
    fn new(names: [&'static str; N], values: [&str; N]) -> Self {
        Self { names, values: values.map(str::to_owned) }
    }
}

impl<const N: usize> EncodeLabelSet for Labels<N> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, value) in self.names.iter().zip(&self.values) {
            (*name, value.as_str()).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

fn counter_name(name: &str) -> &str {
    name.strip_suffix("_total").expect("the name of a counter ends in _total")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    fn samples(registry: &Registry) -> Vec<String> {
        let text = registry.encode();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.map(str::to_owned).collect()
    }

    #[test]
    fn counters_have_exactly_the_name_they_were_given() {
        let mut registry = Registry::default();
        let requests = registry.counters("landfall_ingest_requests_total", "Requests", ["outcome"]);
        let bytes = registry.counter("landfall_openai_bytes_total", "Bytes");
        requests.with(["accepted"]).inc();
        requests.with(["accepted"]).inc();
        bytes.inc_by(7);
        assert_eq!(
            samples(&registry),
            [r#"landfall_ingest_requests_total{outcome="accepted"} 2"#, "landfall_openai_bytes_total 7"]
        );
    }

    #[test]
    fn gauges_and_histograms_have_exactly_the_name_they_were_given() {
        let mut registry = Registry::default();
        let oldest = registry.gauges("landfall_queue_oldest_seconds", "Age", ["family"]);
        oldest.with(["batch"]).set(1.5);
        let ack = registry.histogram("landfall_ingest_ack_seconds", "Time", &[0.1, 1.0]);
        ack.observe(0.5);
        let handle = registry.histograms("landfall_handle_seconds", "Time", ["family"], &[1.0]);
        handle.with(["batch"]).observe(2.0);
        assert_eq!(
            samples(&registry),
            [
                r#"landfall_queue_oldest_seconds{family="batch"} 1.5"#,
                "landfall_ingest_ack_seconds_sum 0.5",
                "landfall_ingest_ack_seconds_count 1",
                r#"landfall_ingest_ack_seconds_bucket{le="0.1"} 0"#,
                r#"landfall_ingest_ack_seconds_bucket{le="1.0"} 1"#,
                r#"landfall_ingest_ack_seconds_bucket{le="+Inf"} 1"#,
                r#"landfall_handle_seconds_sum{family="batch"} 2.0"#,
                r#"landfall_handle_seconds_count{family="batch"} 1"#,
                r#"landfall_handle_seconds_bucket{le="1.0",family="batch"} 0"#,
                r#"landfall_handle_seconds_bucket{le="+Inf",family="batch"} 1"#,
            ]
        );
        oldest.clear();
        assert!(!registry.encode().contains("landfall_queue_oldest_seconds{"));
    }

    #[test]
    fn a_counter_from_fn_is_read_at_each_scrape() {
        static VALUE: AtomicU64 = AtomicU64::new(0);
        let mut registry = Registry::default();
        registry.counter_from_fn("landfall_things_total", "Things", || VALUE.load(Ordering::Relaxed));
        VALUE.store(3, Ordering::Relaxed);
        let mut here = Registry::default();
        here.counter("landfall_things_total", "Things").inc_by(3);
        assert_eq!(registry.encode(), here.encode());
    }

    #[test]
    fn a_registry_has_build_info_and_process_metrics() {
        let samples = samples(&Registry::for_program("worker"));
        let build =
            format!(r#"landfall_build_info{{program="worker",version="{}"}} 1"#, env!("CARGO_PKG_VERSION"));
        assert!(samples.contains(&build), "{samples:#?}");
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_virtual_memory_bytes",
            "process_open_fds",
            "process_max_fds",
            "process_threads",
            "process_start_time_seconds",
        ] {
            let sample = samples.iter().find_map(|line| line.strip_prefix(&format!("{name} ")));
            let value: f64 = sample.unwrap_or_else(|| panic!("no {name}: {samples:#?}")).parse().unwrap();
            assert!(value >= 0.0 && (value > 0.0 || name == "process_cpu_seconds_total"), "{name} {value}");
        }
    }

    #[test]
    #[should_panic(expected = "ends in _total")]
    fn a_counter_without_total_is_a_bug() {
        Registry::default().counter("landfall_things", "Things");
    }
}
