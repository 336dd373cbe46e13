//! Parses a verified body. Lenient: OpenAI adds and changes fields, so only the type is required; fields that are
//! missing or have another shape are `None`. The body itself is stored elsewhere, byte for byte.

use std::borrow::Cow;

use serde_json::Deserializer;
use serde_json::value::RawValue;

use crate::event_kind::EventKind;
use crate::json_fields::{decoded, fields};

/// The parts of an event envelope that Landfall uses.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// `evt_…`: unlike the `webhook-id`, the same for every endpoint that receives the event.
    pub event_id: Option<Cow<'a, str>>,
    pub kind: EventKind,
    /// Unix seconds.
    pub created_at_secs: Option<i64>,
    /// `data` as received: usually only an id, from some senders the whole object.
    pub data: Option<&'a RawValue>,
}

/// Why a body is not an event. Such a body is still stored, in the family `other`.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    #[error("body is not a JSON object")]
    NotAnObject(#[source] serde_json::Error),
    #[error("body has no type")]
    NoType,
}

impl<'a> Event<'a> {
    /// # Errors
    /// [`ParseError`] when the body is not a JSON object or has no `type` string.
    pub fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let [id, kind, created_at, data] =
            fields(Deserializer::from_slice(body), ["id", "type", "created_at", "data"])
                .map_err(ParseError::NotAnObject)?;
        let kind = kind.and_then(text).ok_or(ParseError::NoType)?;
        Ok(Self {
            event_id: id.and_then(text),
            kind: EventKind::from_name(&kind),
            created_at_secs: created_at.and_then(unix_secs),
            data,
        })
    }

    /// The id of the object: `data.id`, or the id of a call or session. Scans `data` again, which may be large.
    #[must_use]
    pub fn object_id(&self) -> Option<Cow<'a, str>> {
        let data = Deserializer::from_str(self.data?.get());
        let [id, call_id, session_id] = fields(data, ["id", "call_id", "session_id"]).ok()?;
        [id, call_id, session_id].into_iter().flatten().find_map(text)
    }
}

/// A non-empty JSON string.
fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    decoded(raw).filter(|text| !text.is_empty())
}

/// Seconds as an integer or, as some senders write them, a float.
fn unix_secs(raw: &RawValue) -> Option<i64> {
    let secs = serde_json::from_str::<f64>(raw.get()).ok()?;
    // Beyond 2^53 a float cannot represent every second, and no real date is that large.
    (secs.abs() < 9_007_199_254_740_992.0).then_some(secs as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_thin_event() {
        let body = br#"{"id":"evt_1","object":"event","created_at":1750861210,"type":"batch.completed","data":{"id":"batch_1"}}"#;
        let event = Event::parse(body).unwrap();
        assert_eq!(event.kind, EventKind::BatchCompleted);
        assert_eq!(event.event_id.as_deref(), Some("evt_1"));
        assert_eq!(event.created_at_secs, Some(1_750_861_210));
        assert_eq!(event.object_id().as_deref(), Some("batch_1"));
    }

    #[test]
    fn a_call_is_identified_by_its_call_or_session_id() {
        let call =
            Event::parse(br#"{"type":"realtime.call.incoming","data":{"call_id":"rtc_1","sip_headers":[]}}"#);
        assert_eq!(call.unwrap().object_id().as_deref(), Some("rtc_1"));
        let live = Event::parse(br#"{"type":"live.transport.incoming","data":{"session_id":"sess_1"}}"#);
        assert_eq!(live.unwrap().object_id().as_deref(), Some("sess_1"));
    }

    #[test]
    fn malformed_fields_are_none_and_never_an_error() {
        let body = br#"{"id":7,"created_at":1750861210.9,"type":"response.completed","data":{"id":"","n":1e400000,"s":"\ud800\u0000"}}"#;
        let event = Event::parse(body).unwrap();
        assert_eq!((&event.event_id, event.object_id()), (&None, None));
        let odd_key =
            Event::parse(br#"{"\udc00":1,"\u0074ype":"batch.failed","data":{"\ud800":0,"id":"x"}}"#).unwrap();
        assert_eq!((&odd_key.kind, odd_key.object_id().as_deref()), (&EventKind::BatchFailed, Some("x")));
        assert_eq!(event.created_at_secs, Some(1_750_861_210));
        let huge = Event::parse(br#"{"type":"x","created_at":1e300}"#).unwrap();
        assert_eq!(huge.created_at_secs, None);
        assert!(Event::parse(br#"{"type":"x","data":null}"#).unwrap().object_id().is_none());
    }

    #[test]
    fn the_last_of_a_repeated_field_counts() {
        let event =
            Event::parse(br#"{"type":"a","type":"batch.failed","data":{"id":"x"},"data":{"id":"y"}}"#)
                .unwrap();
        assert_eq!((&event.kind, event.object_id().as_deref()), (&EventKind::BatchFailed, Some("y")));
    }

    #[test]
    fn a_body_that_is_not_an_event_is_an_error() {
        for body in [&b""[..], b"[1,2]", b"\"x\"", b"{", b"{} {}", b"\xff\xfe{}", b"{\"type\":\"\xff\"}"] {
            assert!(matches!(Event::parse(body), Err(ParseError::NotAnObject(_))), "{body:?}");
        }
        for body in [&b"{}"[..], b"{\"type\":3}", b"{\"type\":\"\"}"] {
            assert!(matches!(Event::parse(body), Err(ParseError::NoType)), "{body:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert!(Event::parse(b"\xef\xbb\xbf{\"type\":\"batch.failed\"}").is_ok());
    }
}
