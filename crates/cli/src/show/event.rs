//! An event: its fields, its attempts and its body.

use serde_json::Value;
use store::{AttemptRecord, EventRecord, Store};
use webhook::MaybeKnown;

use super::layout::{Layout, or_empty};
use crate::exit::CliError;
use crate::{output, printable, time_format};

/// Longer bodies are truncated; `--raw` prints them in full.
const BODY_LINES_MAX: usize = 20;

pub(super) async fn text(store: &Store, event: &EventRecord, layout: Layout) -> Result<String, CliError> {
    let fields = [
        ("type", format!("{} (family {})", event.event_type, event.family)),
        ("event", or_empty(event.event_id.as_deref())),
        ("object", or_empty(event.object_id.as_deref())),
        ("state", event.state.to_string()),
        ("attempts", event.attempts.to_string()),
        ("reason", or_empty(event.reason.as_ref().map(MaybeKnown::as_str))),
        ("last error", printable::sentence(event.last_error.as_deref().unwrap_or_default())),
        ("created", layout.time(event.created_at)),
        ("received", layout.time(Some(event.received_at))),
        ("processed", layout.time(event.processed_at)),
    ];
    let mut text = layout.section("event, webhook", &event.webhook_id, &fields);
    let attempts = store.event_attempts(&event.project, &event.webhook_id).await?;
    if !attempts.is_empty() {
        // The store keeps the first 10 and the last 50.
        text.push_str("\nattempts\n");
        text.extend(attempts.iter().map(attempt_lines));
    }
    let body = body_text(&event.body);
    text.push_str("\nbody\n");
    for line in body.lines().take(BODY_LINES_MAX) {
        text.push_str("  ");
        text.push_str(&output::shortened(line, usize::from(layout.width) - 2));
        text.push('\n');
    }
    if body.lines().count() > BODY_LINES_MAX {
        text.push_str("  … more: --raw\n");
    }
    Ok(text)
}

/// Two lines per attempt: the outcome, then the worker and OpenAI's request id.
fn attempt_lines(attempt: &AttemptRecord) -> String {
    let reason = attempt.reason.as_ref().map(MaybeKnown::to_string);
    let status = attempt.http_status.map(|status| status.to_string());
    let why = [reason, status].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let head = format!(
        "  {:>3}  {} UTC  {:>9} ms  {:<6}  {why}",
        attempt.attempt,
        time_format::utc(attempt.started_at),
        output::count(attempt.duration_ms),
        attempt.outcome,
    );
    let request = attempt.request_id.as_ref().map(|id| format!(", request {}", printable::one_line(id)));
    let worker = printable::one_line(&attempt.worker);
    format!("{}\n       worker {worker}{}\n", head.trim_end(), request.unwrap_or_default())
}

fn body_text(body: &[u8]) -> String {
    let pretty = serde_json::from_slice::<Value>(body).and_then(|value| serde_json::to_string_pretty(&value));
    let text = pretty.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
    printable::lines(&text)
}
