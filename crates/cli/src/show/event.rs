//! An event: what came in, how often it was tried, what became of it.

use serde_json::Value;
use store::EventRecord;

use super::{Layout, or_empty};
use crate::{printable, screen};

/// A body longer than this is cut; `--raw` has all of it.
const BODY_LINES_MAX: usize = 20;

pub(super) fn text(event: &EventRecord, layout: Layout) -> String {
    let fields = [
        ("type", format!("{} (family {})", event.event_type, event.family)),
        ("event", or_empty(event.event_id.as_deref())),
        ("object", or_empty(event.object_id.as_deref())),
        ("state", event.state.to_string()),
        ("attempts", event.attempts.to_string()),
        ("reason", event.reason.map(|reason| reason.to_string()).unwrap_or_default()),
        ("last error", printable::sentence(event.last_error.as_deref().unwrap_or_default())),
        ("created", layout.time(event.created_at)),
        ("received", layout.time(Some(event.received_at))),
        ("processed", layout.time(event.processed_at)),
    ];
    let mut text = layout.section("event, webhook", &event.webhook_id, &fields);
    let body = body_text(&event.body);
    text.push_str("\nbody\n");
    for line in body.lines().take(BODY_LINES_MAX) {
        text.push_str("  ");
        text.push_str(&screen::shortened(line, usize::from(layout.width) - 2));
        text.push('\n');
    }
    if body.lines().count() > BODY_LINES_MAX {
        text.push_str("  … all of it: --raw\n");
    }
    text
}

fn body_text(body: &[u8]) -> String {
    let pretty = serde_json::from_slice::<Value>(body).and_then(|value| serde_json::to_string_pretty(&value));
    let text = pretty.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
    printable::lines(&text)
}
