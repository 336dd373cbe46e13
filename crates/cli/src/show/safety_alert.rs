//! A safety alert, and the response that caused it.

use store::SafetyAlertRecord;

use super::layout::{Layout, or_empty};

pub(super) fn text(alert: &SafetyAlertRecord, layout: Layout) -> String {
    let paused = match alert.request_paused {
        Some(true) => "yes",
        Some(false) => "no",
        None => "",
    };
    let fields = [
        ("kind", or_empty(alert.error_type.as_deref())),
        ("reason", or_empty(alert.reason.as_deref())),
        ("explanation", or_empty(alert.detailed_explanation.as_deref())),
        ("response", or_empty(alert.response_id.as_deref())),
        ("request", or_empty(alert.request_id.as_deref())),
        ("model", or_empty(alert.model.as_deref())),
        ("paused", paused.to_owned()),
        ("created", layout.time(alert.created_at)),
        ("received", layout.time(Some(alert.received_at))),
        ("fetched", layout.origin(&alert.fetch_state, alert.fetched_at)),
    ];
    layout.section("safety alert", &alert.alert_id, &fields)
}
