//! The log line of a request, and the metrics, whose names are an interface (docs/operations.md). Bodies and signatures are never
//! logged.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime};

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use error_text::chain;
use queue::{EnqueueError, Enqueued};
use service::excerpt;
use service::metrics::{Counters, Histogram, LAG_SECONDS, Registry};
use webhook::{Event, Family, closed_set};

use crate::receive_error::ReceiveError;

/// The type of a body that is not an event. It is enqueued nevertheless, because the signature proves that OpenAI sent
/// it.
const TYPE_UNKNOWN: &str = "unknown";

/// The properties of a request known so far. Borrowed from the request: nothing is copied until it is logged.
pub(crate) struct RequestLog<'r> {
    started: Instant,
    project: &'static str,
    headers: &'r HeaderMap,
    verified: bool,
    event: Option<Event<'r>>,
}

impl<'r> RequestLog<'r> {
    pub(crate) fn new(project: &'static str, headers: &'r HeaderMap) -> Self {
        Self { started: Instant::now(), project, headers, verified: false, event: None }
    }

    /// Marks the request as genuine; `None` if its body is not an event.
    pub(crate) fn verified(&mut self, event: Option<Event<'r>>) {
        (self.verified, self.event) = (true, event);
    }

    pub(crate) fn event_type(&self) -> &str {
        self.event.as_ref().map_or(TYPE_UNKNOWN, |event| event.kind.as_str())
    }

    pub(crate) fn family(&self) -> Family {
        self.event.as_ref().map_or(Family::Other, |event| event.kind.family())
    }

    /// Counts the request and writes its log line.
    pub(crate) fn finish(
        self,
        metrics: &Metrics,
        status: StatusCode,
        result: &Result<Enqueued, ReceiveError>,
    ) {
        let took = self.started.elapsed();
        let outcome = match result {
            Ok(Enqueued::Added { .. }) => Outcome::Accepted,
            Ok(Enqueued::Duplicate) => Outcome::Duplicate,
            Err(_) if status == StatusCode::SERVICE_UNAVAILABLE => Outcome::Unavailable,
            Err(_) => Outcome::Rejected,
        };
        metrics.requests.with([outcome.as_str()]).inc();
        match result {
            Ok(enqueued) => {
                metrics.ack_seconds.observe(took.as_secs_f64());
                if let (Enqueued::Added { .. }, Some(lag)) = (enqueued, self.lag()) {
                    metrics.acked_lag_seconds.observe(lag.as_secs_f64());
                }
                self.log_acked(outcome, enqueued, took);
            }
            Err(error) => {
                metrics.refusals.with([error.reason()]).inc();
                self.log_refused(outcome, status, error, took);
            }
        }
    }

    fn log_acked(&self, outcome: Outcome, enqueued: &Enqueued, took: Duration) {
        let entry_id = if let Enqueued::Added { entry_id } = enqueued { Some(entry_id) } else { None };
        tracing::info!(
            webhook.id = self.webhook_id().as_deref(),
            event.id = self.event_id().as_deref(),
            event.type = self.verified.then(|| excerpt(self.event_type())).as_deref(),
            event.family = self.verified.then(|| self.family().as_str()),
            object.id = self.object_id().as_deref(),
            project = self.project,
            queue.entry_id = entry_id,
            outcome = outcome.as_str(),
            http.status = 200,
            duration_ms = took.as_millis() as u64,
            "webhook {outcome}"
        );
    }

    fn log_refused(&self, outcome: Outcome, status: StatusCode, error: &ReceiveError, took: Duration) {
        tracing::warn!(
            webhook.id = self.webhook_id().as_deref(),
            event.id = self.event_id().as_deref(),
            event.type = self.verified.then(|| excerpt(self.event_type())).as_deref(),
            event.family = self.verified.then(|| self.family().as_str()),
            object.id = self.object_id().as_deref(),
            project = self.project,
            outcome = outcome.as_str(),
            reason = error.reason(),
            error = chain(error),
            http.status = status.as_u16(),
            duration_ms = took.as_millis() as u64,
            "webhook {outcome}"
        );
    }

    /// Unverified until the request is accepted.
    fn webhook_id(&self) -> Option<Cow<'_, str>> {
        Some(excerpt(String::from_utf8_lossy(self.headers.get(webhook::HEADER_ID)?.as_bytes())))
    }

    fn event_id(&self) -> Option<Cow<'_, str>> {
        self.event.as_ref()?.event_id.as_deref().map(excerpt)
    }

    fn object_id(&self) -> Option<Cow<'_, str>> {
        self.event.as_ref()?.object_id().map(excerpt)
    }

    /// `None` if the event has no creation time, or one in the future.
    fn lag(&self) -> Option<Duration> {
        let created_at_secs = self.event.as_ref()?.created_at_secs?.try_into().ok()?;
        let created_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(created_at_secs))?;
        SystemTime::now().duration_since(created_at).ok()
    }
}

closed_set! {
    /// The outcome of a request: the label `outcome` and the log field of the same name.
    pub(crate) enum Outcome {
        /// Verified and durably in the queue.
        Accepted => "accepted",
        /// A `webhook-id` that was seen before.
        Duplicate => "duplicate",
        /// Not a genuine webhook for this endpoint.
        Rejected => "rejected",
        /// Possibly genuine, but not enqueued; OpenAI retries it.
        Unavailable => "unavailable",
    }
}

/// Upper bounds in seconds. OpenAI gives up after "a few seconds"; the target is milliseconds.
const ACK_BUCKETS: &[f64] = &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Reasons worth an alert, in addition to those of the queue.
const ALERTING: [&str; 3] = ["stale_timestamp_genuine", "redis_nearly_full", "redis_unchecked"];

/// The metrics of ingest, shared by all its threads.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    requests: Counters<1>,
    refusals: Counters<1>,
    ack_seconds: Histogram,
    /// Measured with the clock of OpenAI, which has a resolution of one second.
    acked_lag_seconds: Histogram,
}

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let requests = registry.counters(
            "landfall_ingest_requests_total",
            "Requests to the webhook path by outcome",
            ["outcome"],
        );
        for outcome in Outcome::ALL {
            requests.with([outcome.as_str()]);
        }
        let refusals = registry.counters(
            "landfall_ingest_refusals_total",
            "Requests that were rejected or could not be enqueued, by reason",
            ["reason"],
        );
        // Series used by alerts exist from the start.
        for reason in EnqueueError::LABELS.into_iter().chain(ALERTING) {
            refusals.with([reason]);
        }
        let ack_seconds = registry.histogram(
            "landfall_ingest_ack_seconds",
            "Time from the end of the request head to the 200 response",
            ACK_BUCKETS,
        );
        let lag_seconds = registry.histograms(
            "landfall_event_lag_seconds",
            "Time from created_at of the event to the stage",
            ["stage"],
            LAG_SECONDS,
        );
        Self { requests, refusals, ack_seconds, acked_lag_seconds: lag_seconds.with(["acked"]) }
    }
}
