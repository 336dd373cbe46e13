//! The events OpenAI sends, as bodies ready to sign: thin (a type and an id), or with the whole object in `data` as in
//! older versions of the documentation.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::fixtures::demo_object_id;

/// One event and its `webhook-id`.
#[derive(Debug, Clone)]
pub struct OutgoingEvent {
    pub webhook_id: String,
    pub event_type: String,
    pub body: Vec<u8>,
}

/// The content of `data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// An id and, for a few types, some more fields, as OpenAI sends it.
    Thin,
    /// The whole object.
    Embedded,
}

impl OutgoingEvent {
    /// A thin event. Without an id it is about the demo object of its type, or about an object that does not exist.
    pub fn thin(event_type: &str, object_id: Option<&str>) -> Self {
        let sample = sample_id(event_type);
        Self::with_data(event_type, &thin_data(event_type, object_id.unwrap_or(&sample)))
    }

    /// An event that embeds this object.
    pub fn embedded(event_type: &str, object: &Value) -> Self {
        Self::with_data(event_type, object)
    }

    /// An event with any `data`, new ids and the current time.
    pub fn with_data(event_type: &str, data: &Value) -> Self {
        // Fields are in OpenAI's order. The type is not checked: tests send invalid ones on purpose.
        let body = format!(
            r#"{{"id":"evt_{}","object":"event","created_at":{},"type":{},"data":{data}}}"#,
            random_hex(),
            now_secs(),
            Value::from(event_type)
        );
        Self {
            webhook_id: format!("wh_{}", random_hex()),
            event_type: event_type.to_owned(),
            body: body.into_bytes(),
        }
    }
}

/// Unix seconds.
pub(crate) fn now_secs() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("the clock is past 1970").as_secs()
}

/// Thirty-two random hex digits, as in OpenAI's ids.
pub(crate) fn random_hex() -> String {
    format!("{:032x}", fastrand::u128(..))
}

fn sample_id(event_type: &str) -> String {
    if let Some(id) = demo_object_id(event_type) {
        return id.to_owned();
    }
    let family = event_type.rsplit_once('.').map_or("", |(family, _)| family);
    match family {
        "realtime.call" => format!("rtc_{}", random_hex()),
        "live.call" | "live.transport" => format!("sess_{}", random_hex()),
        "agent.session" => format!("asess_{}", random_hex()),
        "agent.environment" => format!("aenv_{}", random_hex()),
        "safety.alert" | "safety.org_alert" => format!("alert_{}", random_hex()),
        "safety" => "C-abc123".to_owned(),
        "video" => format!("video_{}", random_hex()),
        _ => format!("obj_{}", random_hex()),
    }
}

/// `data` by event type, following the types of the official clients.
fn thin_data(event_type: &str, id: &str) -> Value {
    // Phone numbers reserved for fiction.
    let sip_headers = json!([
        {"name": "From", "value": "sip:+12025550142@sip.example.com"},
        {"name": "To", "value": "sip:+12025550143@sip.api.openai.com"},
        {"name": "Call-ID", "value": "03782086-4ce9-44bf-8b0d-4e303d2cc590"},
    ]);
    match event_type {
        "realtime.call.incoming" => json!({"call_id": id, "sip_headers": sip_headers}),
        "live.call.incoming" => json!({"session_id": id, "sip_headers": sip_headers}),
        "live.transport.incoming" => {
            json!({"session_id": id, "type": "sip", "sip_headers": sip_headers, "sip_media_security": "srtp"})
        }
        "live.transport.connected" => json!({"session_id": id, "type": "webrtc"}),
        "agent.session.created" => {
            json!({"id": id, "environment_type": "openai_hosted", "environment_id": "aenv_demo"})
        }
        "agent.session.action_required" => json!({"id": id, "required_action": {"type": "function_call"}}),
        "agent.session.in_progress" | "agent.session.idle" | "agent.session.failed" => {
            json!({"id": id, "environment_type": "none", "environment_id": null})
        }
        "safety_identifier.blocked" => json!({
            "safety_category": "bio", "safety_identifier": "user_4711_hashed", "model": "gpt-5.6-sol",
            "project_id": "proj_demo", "request_id": "req_demo",
        }),
        _ => json!({"id": id}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_type_names_its_object() {
        for event_type in webhook::EventKind::KNOWN {
            let event = OutgoingEvent::thin(event_type, None);
            let read = webhook::Event::parse(&event.body).unwrap();
            assert_eq!(read.kind.as_str(), *event_type);
            let has_object = *event_type != "safety_identifier.blocked";
            assert_eq!(read.object_id().is_some(), has_object, "{event_type}");
        }
    }

    #[test]
    fn a_type_is_sent_as_it_is_given() {
        let event = OutgoingEvent::thin("odd \"type\"\n", Some("resp_1"));
        let body: Value = serde_json::from_slice(&event.body).unwrap();
        assert_eq!((&body["type"], &body["data"]["id"]), (&json!("odd \"type\"\n"), &json!("resp_1")));
    }
}
