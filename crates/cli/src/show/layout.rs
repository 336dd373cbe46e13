//! How a record is laid out: a heading, its fields, and the words for times, errors and usage.

use chrono::{DateTime, Utc};
use serde_json::Value;
use webhook::{FetchState, MaybeKnown};

use crate::{moment, printable, screen};

/// How records are laid out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) width: u16,
    pub(super) now: DateTime<Utc>,
}

impl Layout {
    /// `2026-11-23 20:31:07 UTC (5h ago)`, or nothing.
    pub(super) fn time(self, time: Option<DateTime<Utc>>) -> String {
        time.map(|time| moment::utc_and_age(time, self.now)).unwrap_or_default()
    }

    /// A heading and its fields.
    pub(super) fn section(self, kind: &str, id: &str, fields: &[(&str, String)]) -> String {
        format!("{kind} {}\n{}", printable::one_line(id), screen::fields(fields, self.width))
    }

    /// Where the record comes from.
    pub(super) fn origin(
        self,
        fetch_state: &MaybeKnown<FetchState>,
        fetched_at: Option<DateTime<Utc>>,
    ) -> String {
        let words = match fetch_state {
            MaybeKnown::Known(FetchState::Fetched) => "from the API",
            MaybeKnown::Known(FetchState::Off) => "not fetched (FETCH=off): what the event held",
            MaybeKnown::Known(FetchState::NotFound) => "not found by the API: what the event held",
            MaybeKnown::Known(FetchState::Expired) => "from the API, but its content has expired",
            MaybeKnown::Known(FetchState::Forbidden) => "refused by the API: what the event held",
            MaybeKnown::Unknown(name) => name,
        };
        match fetched_at {
            Some(_) => format!("{words}, {}", self.time(fetched_at)),
            None => words.to_owned(),
        }
    }
}

/// A text or nothing.
pub(super) fn or_empty(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}

/// An error object as `code: message`; anything else as it is; nothing when it says nothing, such as `{"code":null}`. On
/// one line.
pub(super) fn error_text(json: Option<&str>) -> String {
    printable::sentence(&error_words(json.unwrap_or_default()))
}

fn error_words(json: &str) -> String {
    let Ok(value) = serde_json::from_str::<Value>(json) else { return json.to_owned() };
    let field = |name: &str| value.get(name).and_then(Value::as_str);
    match (field("code"), field("message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (None, Some(text)) | (Some(text), None) => text.to_owned(),
        (None, None) if says_nothing(&value) => String::new(),
        (None, None) => value.to_string(),
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(Value::is_null),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// `input 1,200, output 340 tokens`, as far as the usage object says.
pub(super) fn usage_text(json: Option<&str>) -> String {
    let usage = json.and_then(|json| serde_json::from_str::<Value>(json).ok());
    let tokens = |name: &str| {
        let count = usage.as_ref()?.get(name)?.as_i64()?;
        Some(screen::count(count))
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
