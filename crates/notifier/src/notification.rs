//! The content of a notification in the format of its target: rendered once, stored, and sent unchanged on every
//! attempt.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use webhook::NotificationType;

use crate::config::{Destination, Payload, Target};

/// Characters of a result or an error that a chat message shows.
const EXCERPT_CHARS_MAX: usize = 300;
/// 128 bits: collisions are practically impossible.
const ID_DIGEST_BYTES: usize = 16;
/// Fields of the object that every notification includes when they are known.
const OBJECT_FIELDS: [&str; 25] = [
    "status",
    "model",
    "base_model",
    "fine_tuned_model",
    "endpoint",
    "requests_total",
    "requests_completed",
    "requests_failed",
    "eval_id",
    "total",
    "passed",
    "failed",
    "errored",
    "report_url",
    "incomplete_reason",
    "files",
    "last_turn_id",
    "last_turn_status",
    "required_actions",
    "artifacts",
    "error_type",
    "response_id",
    "request_paused",
    "metadata",
    "fetch_state",
];

/// The content of a notification, before it is rendered for a target.
#[derive(Debug, Clone)]
pub struct Notification {
    pub kind: NotificationType,
    pub project: String,
    pub at: DateTime<Utc>,
    pub webhook_id: Option<String>,
    pub event_id: Option<String>,
    /// The OpenAI event type.
    pub event_type: String,
    pub event_created_at: Option<DateTime<Utc>>,
    /// For calls: how old the event was at `at`, in seconds.
    pub event_age_secs: Option<i64>,
    pub object_id: Option<String>,
    /// The object's row, or else the body of the event: the result of a `full` notification.
    pub result: Option<Value>,
    /// False when parts of the result are too large for any notification.
    pub result_is_whole: bool,
    /// Why the event was dead-lettered, or why the stored object is incomplete.
    pub reason: Option<&'static str>,
    pub error: Option<String>,
    /// A link to the result, for results that are too large.
    pub link: Option<ResultLink>,
}

/// A signed link to a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultLink {
    pub url: String,
    pub expires_at: DateTime<Utc>,
}

impl Notification {
    /// The notification's id for a target. The same event for the same target has the same id, under whatever
    /// `webhook-id` it arrived and however often it was replayed. An object that could not be read completely gets a
    /// different id than the complete one.
    pub fn id(&self, target: &str) -> String {
        let event = self.event_id.as_deref().or(self.webhook_id.as_deref()).unwrap_or_default();
        let parts = [&self.project, target, self.kind.as_str(), event, self.reason.unwrap_or_default()];
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        let hex: String = digest[..ID_DIGEST_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("ntf_{hex}")
    }

    /// The body for a target. A `full` body larger than `full_max_bytes` becomes thin, says so, and includes the link.
    pub fn body(&self, target: &Target, full_max_bytes: u64) -> Vec<u8> {
        match target.destination {
            Destination::Webhook(_) | Destination::RedisStream { .. } => {
                self.json_body(target.payload, full_max_bytes)
            }
            Destination::Slack(_) => {
                let text = self
                    .text("*", |text| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"));
                json!({ "text": text }).to_string().into_bytes()
            }
            Destination::Discord(_) => {
                // Model output must not mention (ping) anyone.
                let content = self.text("**", str::to_owned);
                json!({ "content": content, "allowed_mentions": { "parse": [] } }).to_string().into_bytes()
            }
        }
    }

    /// The JSON body, for programs.
    pub fn json_body(&self, payload: Payload, full_max_bytes: u64) -> Vec<u8> {
        serde_json::to_vec(&self.json(payload, full_max_bytes)).expect("a JSON value serializes")
    }

    fn json(&self, payload: Payload, full_max_bytes: u64) -> Value {
        let mut data = self.thin();
        if let (Payload::Full, Some(result)) = (payload, &self.result) {
            let bytes = result.to_string().len() as u64;
            let envelope = Value::Object(data.clone()).to_string().len() as u64;
            if self.result_is_whole && bytes + envelope <= full_max_bytes {
                data.insert("result".to_owned(), result.clone());
            } else {
                data.insert("result_omitted".to_owned(), true.into());
                if let Some(link) = &self.link {
                    data.insert("result_url".to_owned(), link.url.clone().into());
                    data.insert("result_url_expires_at".to_owned(), time(link.expires_at).into());
                }
            }
        }
        json!({ "type": self.kind.as_str(), "timestamp": time(self.at), "data": data })
    }

    fn thin(&self) -> Map<String, Value> {
        let mut data = Map::new();
        data.insert("project".to_owned(), self.project.clone().into());
        let mut event = json!({
            "id": self.event_id,
            "type": self.event_type,
            "webhook_id": self.webhook_id,
            "created_at": self.event_created_at.map(time),
        });
        if let Some(secs) = self.event_age_secs {
            event["age_secs"] = secs.into();
        }
        data.insert("event".to_owned(), event);
        let mut object = Map::new();
        object.insert("id".to_owned(), self.object_id.clone().into());
        for field in OBJECT_FIELDS {
            // A response's own id is already there.
            let is_new =
                |value: &&Value| field != "response_id" || value.as_str() != self.object_id.as_deref();
            if let Some(value) = self.field(field).filter(is_new) {
                object.insert(field.to_owned(), value.clone());
            }
        }
        data.insert("object".to_owned(), object.into());
        if let Some(reason) = self.reason {
            data.insert("reason".to_owned(), reason.into());
        }
        if let Some(error) = &self.error {
            data.insert("error".to_owned(), error.clone().into());
        }
        data
    }

    /// A field of the object's row. The fields of an event body are unrelated.
    pub fn field(&self, name: &str) -> Option<&Value> {
        let row = self.result.as_ref().filter(|_| self.kind.is_of_object())?;
        row.get(name).filter(|value| !value.is_null())
    }

    /// The chat message: type, object, status, and the beginning of the result or the error.
    fn text(&self, bold: &str, escape: impl Fn(&str) -> String) -> String {
        let word = |name| self.field(name).and_then(Value::as_str);
        let mut text = format!("{bold}{}{bold}", self.kind);
        if self.kind.as_str() != self.event_type {
            text.push_str(&format!(" {}", escape(&self.event_type)));
        }
        if let Some(id) = &self.object_id {
            text.push_str(&format!(" `{}`", escape(&id.replace('`', ""))));
        }
        for name in ["status", "model"] {
            if let Some(word) = word(name) {
                text.push_str(&format!(" {}", escape(word)));
            }
        }
        if let Some(reason) = self.reason {
            text.push_str(&format!(" ({reason})"));
        }
        if let Some(more) = self.error.as_deref().or_else(|| word("output_text")) {
            text.push_str(&format!("\n> {}", escape(&excerpt(more))));
        }
        text
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn excerpt(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = line.join(" ");
    let mut short: String = line.chars().take(EXCERPT_CHARS_MAX).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}
