//! The one log line of a request, and its metrics. Bodies and signatures are never logged.

use std::time::{Duration, Instant, SystemTime};

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use queue::Enqueued;
use service::telemetry::chain;
use webhook::{Event, Family};

use crate::metrics::{Metrics, Outcome};
use crate::receive::ReceiveError;

const LOGGED_CHARS_MAX: usize = 256;

/// What is known of a request so far.
pub(crate) struct Report {
    started: Instant,
    project: &'static str,
    webhook_id: Option<String>,
    event_id: Option<String>,
    event_type: Option<String>,
    family: Option<Family>,
    object_id: Option<String>,
    created_at_secs: Option<u64>,
}

impl Report {
    /// Starts the clock. The `webhook-id` is only a claim until the request is accepted.
    pub(crate) fn new(project: &'static str, headers: &HeaderMap) -> Self {
        let webhook_id = headers.get(webhook::HEADER_ID).map(|id| String::from_utf8_lossy(id.as_bytes()));
        Self {
            started: Instant::now(),
            project,
            webhook_id: webhook_id.as_deref().map(one_line),
            event_id: None,
            event_type: None,
            family: None,
            object_id: None,
            created_at_secs: None,
        }
    }

    pub(crate) fn event(&mut self, event: Option<&Event<'_>>, event_type: &str, family: Family) {
        self.event_id = event.and_then(|event| event.event_id.as_deref()).map(one_line);
        self.object_id = event.and_then(|event| event.object_id.as_deref()).map(one_line);
        let created_at_secs = event.and_then(|event| event.created_at_secs);
        self.created_at_secs = created_at_secs.and_then(|secs| secs.try_into().ok());
        self.event_type = Some(one_line(event_type));
        self.family = Some(family);
    }

    /// Counts the request and writes its line.
    pub(crate) fn finish(
        self,
        metrics: &Metrics,
        status: StatusCode,
        result: &Result<Enqueued, ReceiveError>,
    ) {
        let took = self.started.elapsed();
        match result {
            Ok(Enqueued::Added { entry_id }) => {
                metrics.acked(Outcome::Accepted, took);
                if let Some(lag) = self.lag() {
                    metrics.acked_lag(lag);
                }
                self.log_acked(Outcome::Accepted, Some(entry_id));
            }
            Ok(Enqueued::Duplicate) => {
                metrics.acked(Outcome::Duplicate, took);
                self.log_acked(Outcome::Duplicate, None);
            }
            Err(error) => {
                metrics.refused(error.outcome(), error.reason());
                self.log_refused(status, error);
            }
        }
    }

    fn log_acked(&self, outcome: Outcome, entry_id: Option<&String>) {
        tracing::info!(
            webhook.id = self.webhook_id,
            event.id = self.event_id,
            event.type = self.event_type,
            event.family = self.family.map(Family::as_str),
            object.id = self.object_id,
            project = self.project,
            queue.entry_id = entry_id,
            outcome = outcome.as_str(),
            http.status = 200,
            duration_ms = self.duration_ms(),
            "webhook {outcome}"
        );
    }

    fn log_refused(&self, status: StatusCode, error: &ReceiveError) {
        let outcome = error.outcome();
        tracing::warn!(
            webhook.id = self.webhook_id,
            event.id = self.event_id,
            event.type = self.event_type,
            event.family = self.family.map(Family::as_str),
            object.id = self.object_id,
            project = self.project,
            outcome = outcome.as_str(),
            reason = error.reason(),
            error = chain(error),
            http.status = status.as_u16(),
            duration_ms = self.duration_ms(),
            "webhook {outcome}"
        );
    }

    /// `None` when the event does not say when it happened, or happened in our future.
    fn lag(&self) -> Option<Duration> {
        let created_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(self.created_at_secs?))?;
        SystemTime::now().duration_since(created_at).ok()
    }

    fn duration_ms(&self) -> u64 {
        self.started.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
    }
}

/// Ids and types are the sender's words: no line break of theirs may forge a log line.
fn one_line(text: &str) -> String {
    text.escape_debug().take(LOGGED_CHARS_MAX).collect()
}
