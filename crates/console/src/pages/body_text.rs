//! Bodies of webhooks and notifications as text.

use serde_json::Value;

/// Indented JSON; a body that is not JSON as it is.
pub(super) fn pretty(body: &[u8]) -> String {
    let pretty = serde_json::from_slice::<Value>(body).and_then(|value| serde_json::to_string_pretty(&value));
    pretty.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned())
}
