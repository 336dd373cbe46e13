//! The error object of a response, a job or a line of a batch, as one sentence.

use serde_json::Value;

/// An error object as `code: message`; other values unchanged; empty for empty objects such as `{"code":null}`.
pub fn error_message(json: &str) -> String {
    let Ok(value) = serde_json::from_str::<Value>(json) else { return json.to_owned() };
    let field = |name: &str| value.get(name).and_then(Value::as_str);
    match (field("code"), field("message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (None, Some(text)) | (Some(text), None) => text.to_owned(),
        (None, None) if is_empty(&value) => String::new(),
        (None, None) => value.to_string(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(Value::is_null),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
