//! The one log line of a request, and its metrics. Bodies and signatures are never logged.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime};

use actix_http::StatusCode;
use actix_http::header::HeaderMap;
use queue::Enqueued;
use service::telemetry::chain;
use webhook::{Event, Family};

use crate::metrics::{Metrics, Outcome};
use crate::receive::ReceiveError;

const LOGGED_CHARS_MAX: usize = 256;
/// The type of a body that is no event. It is kept: the signature says that OpenAI sent it.
const TYPE_UNKNOWN: &str = "unknown";

/// What is known of a request so far. Borrowed from it: where nothing is logged, nothing is copied.
pub(crate) struct Report<'r> {
    started: Instant,
    project: &'static str,
    headers: &'r HeaderMap,
    known: Option<Known<'r>>,
}

/// What a verified body says.
pub(crate) struct Known<'r>(Option<Event<'r>>);

impl<'r> Known<'r> {
    pub(crate) fn event_type(&self) -> &str {
        self.0.as_ref().map_or(TYPE_UNKNOWN, |event| event.kind.as_str())
    }

    pub(crate) fn family(&self) -> Family {
        self.0.as_ref().map_or(Family::Other, |event| event.kind.family())
    }

    fn event(&self) -> Option<&Event<'r>> {
        self.0.as_ref()
    }
}

impl<'r> Report<'r> {
    /// Starts the clock.
    pub(crate) fn new(project: &'static str, headers: &'r HeaderMap) -> Self {
        Self { started: Instant::now(), project, headers, known: None }
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// The request is genuine; `None`: its body is no event.
    pub(crate) fn verified(&mut self, event: Option<Event<'r>>) -> &Known<'r> {
        self.known.insert(Known(event))
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
                self.log_acked(Outcome::Accepted, Some(entry_id), took);
            }
            Ok(Enqueued::Duplicate) => {
                metrics.acked(Outcome::Duplicate, took);
                self.log_acked(Outcome::Duplicate, None, took);
            }
            Err(error) => {
                metrics.refused(error.outcome(), error.reason());
                self.log_refused(status, error, took);
            }
        }
    }

    fn log_acked(&self, outcome: Outcome, entry_id: Option<&String>, took: Duration) {
        tracing::info!(
            webhook.id = self.webhook_id().as_deref(),
            event.id = self.event_id().as_deref(),
            event.type = self.event_type().as_deref(),
            event.family = self.family(),
            object.id = self.object_id().as_deref(),
            project = self.project,
            queue.entry_id = entry_id,
            outcome = outcome.as_str(),
            http.status = 200,
            duration_ms = millis(took),
            "webhook {outcome}"
        );
    }

    fn log_refused(&self, status: StatusCode, error: &ReceiveError, took: Duration) {
        let outcome = error.outcome();
        tracing::warn!(
            webhook.id = self.webhook_id().as_deref(),
            event.id = self.event_id().as_deref(),
            event.type = self.event_type().as_deref(),
            event.family = self.family(),
            object.id = self.object_id().as_deref(),
            project = self.project,
            outcome = outcome.as_str(),
            reason = error.reason(),
            error = chain(error),
            http.status = status.as_u16(),
            duration_ms = millis(took),
            "webhook {outcome}"
        );
    }

    /// Only a claim until the request is accepted.
    fn webhook_id(&self) -> Option<Cow<'_, str>> {
        Some(one_line(String::from_utf8_lossy(self.headers.get(webhook::HEADER_ID)?.as_bytes())))
    }

    fn event(&self) -> Option<&Event<'r>> {
        self.known.as_ref()?.event()
    }

    fn event_id(&self) -> Option<Cow<'_, str>> {
        self.event()?.event_id.as_deref().map(one_line)
    }

    fn event_type(&self) -> Option<Cow<'_, str>> {
        Some(one_line(self.known.as_ref()?.event_type()))
    }

    fn family(&self) -> Option<&'static str> {
        Some(self.known.as_ref()?.family().as_str())
    }

    fn object_id(&self) -> Option<Cow<'_, str>> {
        self.event()?.object_id().map(one_line)
    }

    /// `None` when the event does not say when it happened, or happened in our future.
    fn lag(&self) -> Option<Duration> {
        let created_at_secs = self.event()?.created_at_secs?.try_into().ok()?;
        let created_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(created_at_secs))?;
        SystemTime::now().duration_since(created_at).ok()
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

/// Ids and types are the sender's words: no line break of theirs may forge a log line.
fn one_line<'t>(text: impl Into<Cow<'t, str>>) -> Cow<'t, str> {
    let text = text.into();
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b'\'');
    if text.len() <= LOGGED_CHARS_MAX && text.bytes().all(plain) {
        return text;
    }
    Cow::Owned(text.escape_debug().take(LOGGED_CHARS_MAX).collect())
}
