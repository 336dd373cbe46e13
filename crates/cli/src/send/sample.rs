//! Test events like those of OpenAI's dashboard: the envelope, the `data` of each type, and sample ids that do not exist
//! (`resp_abc123`).

use operations::requeue::random_id;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use webhook::EventKind;

/// An event to deliver once or several times with the same `webhook-id`.
#[derive(Debug, Clone)]
pub(super) struct SampleEvent {
    pub(super) event_type: String,
    pub(super) webhook_id: String,
    pub(super) body: Vec<u8>,
}

/// The envelope, with OpenAI's order of fields.
#[derive(Serialize)]
struct Envelope<'a> {
    id: String,
    object: &'static str,
    created_at: i64,
    #[serde(rename = "type")]
    event_type: &'a str,
    data: &'a RawValue,
}

/// The body of a new event with this type and `data`.
pub(super) fn body(event_type: &str, data: &RawValue, now_secs: i64) -> Vec<u8> {
    let envelope = Envelope {
        id: format!("evt_{}", random_id()),
        object: "event",
        created_at: now_secs,
        event_type,
        data,
    };
    serde_json::to_vec(&envelope).expect("texts and numbers are JSON")
}

/// A new `webhook-id`.
pub(super) fn webhook_id() -> String {
    format!("wh_{}", random_id())
}

/// The `data` of an event of this type, with this object id or a sample id.
pub(super) fn data(kind: &EventKind, object_id: Option<&str>) -> Value {
    let id = |sample: &str| object_id.unwrap_or(sample).to_owned();
    let sip_headers = || json!([{"name": "From", "value": "sip:+15550100@sip.example.com"}]);
    match kind {
        EventKind::ResponseCompleted
        | EventKind::ResponseFailed
        | EventKind::ResponseCancelled
        | EventKind::ResponseIncomplete => json!({"id": id("resp_abc123")}),
        EventKind::BatchCompleted
        | EventKind::BatchFailed
        | EventKind::BatchExpired
        | EventKind::BatchCancelled => {
            json!({"id": id("batch_abc123")})
        }
        EventKind::FineTuningJobSucceeded
        | EventKind::FineTuningJobFailed
        | EventKind::FineTuningJobCancelled => json!({"id": id("ftjob_abc123")}),
        EventKind::EvalRunSucceeded | EventKind::EvalRunFailed | EventKind::EvalRunCanceled => {
            json!({"id": id("evalrun_abc123")})
        }
        EventKind::RealtimeCallIncoming => {
            json!({"call_id": id("rtc_abc123"), "sip_headers": sip_headers()})
        }
        EventKind::LiveCallIncoming => json!({"session_id": id("sess_abc123"), "sip_headers": sip_headers()}),
        EventKind::LiveTransportIncoming => {
            json!({"session_id": id("sess_abc123"), "type": "sip", "sip_headers": sip_headers()})
        }
        EventKind::LiveTransportConnected => json!({"session_id": id("sess_abc123"), "type": "webrtc"}),
        EventKind::AgentSessionCreated
        | EventKind::AgentSessionInProgress
        | EventKind::AgentSessionIdle
        | EventKind::AgentSessionFailed => {
            json!({"id": id("session_abc123"), "environment_type": "none"})
        }
        EventKind::AgentSessionActionRequired => {
            json!({"id": id("session_abc123"), "required_action": {"type": "function_call"}})
        }
        EventKind::AgentEnvironmentReady
        | EventKind::AgentEnvironmentFailed
        | EventKind::AgentEnvironmentSuspended
        | EventKind::AgentEnvironmentExpired => json!({"id": id("env_abc123")}),
        EventKind::SafetyAlertCreated | EventKind::SafetyOrgAlertCreated => json!({"id": id("alert_abc123")}),
        EventKind::SafetyWarningIssued | EventKind::SafetyDeactivationIssued => json!({"id": id("C-abc123")}),
        EventKind::SafetyIdentifierBlocked => {
            json!({"safety_category": "bio", "safety_identifier": id("user_abc123")})
        }
        EventKind::VideoCompleted | EventKind::VideoFailed => json!({"id": id("video_abc123")}),
        EventKind::Unknown(name) => {
            let family = name.split('.').next().unwrap_or_default();
            json!({"id": id(&format!("{family}_abc123"))})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use webhook::Event;

    const FIXTURE: &str = include_str!("../../../../tests/fixtures/openai/events.json");

    #[test]
    fn every_type_has_the_data_fields_that_openai_documents() {
        let events: Vec<Value> = serde_json::from_str(FIXTURE).unwrap();
        for event in events {
            let name = event["type"].as_str().unwrap();
            let data = data(&EventKind::from_name(name), None);
            let Some(documented) = event["data"].as_object() else { continue };
            for field in documented.keys().filter(|field| !field.ends_with('?')) {
                assert!(data.get(field).is_some(), "{name} has no {field}");
            }
        }
    }

    #[test]
    fn the_given_id_is_the_events_object() {
        for name in EventKind::KNOWN.iter().chain(&["something.new"]) {
            let data = serde_json::value::to_raw_value(&data(&EventKind::from_name(name), Some("obj_7")));
            let body = body(name, &data.unwrap(), 1_750_000_000);
            let event = Event::parse(&body).unwrap();
            assert_eq!(event.kind.as_str(), *name);
            assert_eq!(event.created_at_secs, Some(1_750_000_000));
            if *name != "safety_identifier.blocked" {
                assert_eq!(event.object_id().as_deref(), Some("obj_7"), "{name}");
            }
        }
    }
}
