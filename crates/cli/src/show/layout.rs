//! Layout of records: heading and fields, and texts for times, errors and usage.

use chrono::{DateTime, Utc};
use operations::error_message;
use serde_json::Value;
use webhook::{FetchState, MaybeKnown};

use crate::{output, printable, time_format};

/// Width and current time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) width: u16,
    pub(super) now: DateTime<Utc>,
}

impl Layout {
    /// `2026-11-23 20:31:07 UTC (5h ago)`, or empty.
    pub(super) fn time(self, time: Option<DateTime<Utc>>) -> String {
        time.map(|time| time_format::utc_and_age(time, self.now)).unwrap_or_default()
    }

    /// A heading and its fields.
    pub(super) fn section(self, kind: &str, id: &str, fields: &[(&str, String)]) -> String {
        format!("{kind} {}\n{}", printable::one_line(id), output::fields(fields, self.width))
    }

    /// The source of the record's data.
    pub(super) fn origin(
        self,
        fetch_state: &MaybeKnown<FetchState>,
        fetched_at: Option<DateTime<Utc>>,
    ) -> String {
        let origin = match fetch_state {
            MaybeKnown::Known(FetchState::Fetched) => "from the API",
            MaybeKnown::Known(FetchState::Off) => "not fetched (FETCH=off): data from the event",
            MaybeKnown::Known(FetchState::NotFound) => "not found by the API: data from the event",
            MaybeKnown::Known(FetchState::Expired) => "from the API, but its content has expired",
            MaybeKnown::Known(FetchState::Forbidden) => "access denied by the API: data from the event",
            MaybeKnown::Unknown(name) => name,
        };
        match fetched_at {
            Some(_) => format!("{origin}, {}", self.time(fetched_at)),
            None => origin.to_owned(),
        }
    }
}

/// The text, or an empty one.
pub(super) fn or_empty(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}

/// An error object as `code: message` on one line; other values unchanged; empty for empty objects such as
/// `{"code":null}`.
pub(super) fn error_text(json: Option<&str>) -> String {
    printable::sentence(&error_message(json.unwrap_or_default()))
}

/// `1,200 tokens in, 340 out`, or empty.
pub(super) fn usage_text(json: Option<&str>) -> String {
    let usage = json.and_then(|json| serde_json::from_str::<Value>(json).ok());
    let tokens = |name: &str| {
        let count = usage.as_ref()?.get(name)?.as_i64()?;
        Some(output::count(count))
    };
    match (tokens("input_tokens"), tokens("output_tokens")) {
        (Some(input), Some(output)) => format!("{input} tokens in, {output} out"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_code_and_message() {
        let cases = [
            (None, ""),
            (Some(r#"{"code":"server_error","message":"Sorry."}"#), "server_error: Sorry."),
            (Some(r#"{"code":null,"message":null,"param":null}"#), ""),
            (Some(r#"{"message":"Sorry."}"#), "Sorry."),
            (Some("[1]"), "[1]"),
            (Some("not JSON"), "not JSON"),
        ];
        for (json, text) in cases {
            assert_eq!(error_text(json), text);
        }
    }

    #[test]
    fn usage_reads_as_tokens_in_and_out() {
        assert_eq!(usage_text(Some(r#"{"input_tokens":1200,"output_tokens":3}"#)), "1,200 tokens in, 3 out");
        assert_eq!(usage_text(Some(r#"{"total_tokens":3}"#)), "");
        assert_eq!(usage_text(None), "");
    }
}
