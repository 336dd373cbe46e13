//! What ingest counts. Names are an interface: see the README's table.

use std::time::Duration;

use service::metrics::{Counter, Counters, Histogram, Registry};
use webhook::closed_set;

closed_set! {
    /// What became of a request: the label `outcome`, and the log field of that name.
    pub(crate) enum Outcome {
        /// Verified and durably in the queue.
        Accepted => "accepted",
        /// The same `webhook-id` again.
        Duplicate => "duplicate",
        /// Not a webhook of ours.
        Rejected => "rejected",
        /// Genuine, but the queue could not take it; OpenAI sends it again.
        Unavailable => "unavailable",
    }
}

/// Upper bounds in seconds. OpenAI gives up after "a few seconds"; the aim is milliseconds.
const ACK_BUCKETS: &[f64] = &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// From a delivery at once to the last retry, 72 hours later.
const LAG_BUCKETS: &[f64] = &[0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 43_200.0, 259_200.0];

/// Ingest's metrics, shared by all its threads.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    accepted: Counter,
    duplicate: Counter,
    rejected: Counter,
    unavailable: Counter,
    refusals: Counters<1>,
    ack_seconds: Histogram,
    acked_lag_seconds: Histogram,
}

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let requests = registry.counters(
            "landfall_ingest_requests_total",
            "Requests to the webhook path by outcome",
            ["outcome"],
        );
        Self {
            accepted: requests.with([Outcome::Accepted.as_str()]),
            duplicate: requests.with([Outcome::Duplicate.as_str()]),
            rejected: requests.with([Outcome::Rejected.as_str()]),
            unavailable: requests.with([Outcome::Unavailable.as_str()]),
            refusals: registry.counters(
                "landfall_ingest_refusals_total",
                "Requests that were rejected, or that the queue could not take, by reason",
                ["reason"],
            ),
            ack_seconds: registry.histogram(
                "landfall_ingest_ack_seconds",
                "Time from the end of a request's head to its 200",
                ACK_BUCKETS,
            ),
            acked_lag_seconds: registry
                .histograms(
                    "landfall_event_lag_seconds",
                    "From OpenAI's created_at to the stage",
                    ["stage"],
                    LAG_BUCKETS,
                )
                .with(["acked"]),
        }
    }

    /// A request that was answered 200.
    pub(crate) fn acked(&self, outcome: Outcome, took: Duration) {
        self.count(outcome);
        self.ack_seconds.observe(took.as_secs_f64());
    }

    /// How old a new event is by OpenAI's own clock, which only counts whole seconds.
    pub(crate) fn acked_lag(&self, lag: Duration) {
        self.acked_lag_seconds.observe(lag.as_secs_f64());
    }

    /// A request that was not. `reason` is from a closed set.
    pub(crate) fn refused(&self, outcome: Outcome, reason: &'static str) {
        self.count(outcome);
        self.refusals.with([reason]).inc();
    }

    fn count(&self, outcome: Outcome) {
        match outcome {
            Outcome::Accepted => &self.accepted,
            Outcome::Duplicate => &self.duplicate,
            Outcome::Rejected => &self.rejected,
            Outcome::Unavailable => &self.unavailable,
        }
        .inc();
    }
}
