//! The event parser builds no tree; it must find the same values as a full parse.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

use proptest::prelude::*;
use serde_json::{Value, json};
use webhook::Event;

/// The JSON encoding of a string, with or without unnecessary escapes.
fn quoted(text: &str, escaped: bool) -> String {
    if !escaped {
        return serde_json::to_string(text).unwrap();
    }
    let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
    format!("\"{}\"", units.collect::<String>())
}

fn string() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        Just("batch.completed".to_owned()),
        Just(String::new()),
        Just("id".to_owned()),
        "\\PC{0,12}",
        any::<String>(),
    ];
    (text, any::<bool>()).prop_map(|(text, escaped)| quoted(&text, escaped))
}

fn key() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec!["id", "type", "created_at", "data", "call_id", "session_id", "x"]);
    prop_oneof![4 => (names, any::<bool>()).prop_map(|(name, escaped)| quoted(name, escaped)), 1 => string()]
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => string(),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => (-1e16..1e16).prop_map(|number: f64| number.to_string()),
        1 => prop::sample::select(vec!["null", "true", "[]", "{}", "1e3", "1750861210"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            2 => object(inner.clone()),
            1 => prop::collection::vec(inner, 0..4).prop_map(|values| format!("[{}]", values.join(" , "))),
        ]
    })
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec((key(), value), 0..7).prop_map(|fields| {
        let fields = fields.into_iter().map(|(key, value)| format!("{key} :{value}"));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
    })
}

fn text(value: Option<&Value>) -> Option<&str> {
    value?.as_str().filter(|text| !text.is_empty())
}

proptest! {
    #[test]
    fn the_parser_finds_what_a_full_parse_finds(body in object(value())) {
        let full: Value = serde_json::from_str(&body).unwrap();
        let event = Event::parse(body.as_bytes());
        let Some(kind) = text(full.get("type")) else {
            prop_assert!(event.is_err(), "{}", body);
            return Ok(());
        };
        let event = event.unwrap();
        prop_assert!(event.kind.as_str() == kind || kind.chars().count() > 128);
        prop_assert_eq!(event.event_id.as_deref(), text(full.get("id")));
        let data = full.get("data");
        let object_id = ["id", "call_id", "session_id"].iter().find_map(|name| text(data?.get(name)));
        let found = event.object_id();
        prop_assert_eq!(found.as_deref(), object_id);
        let secs = full.get("created_at").and_then(Value::as_f64).filter(|secs| secs.abs() < 9e15);
        prop_assert_eq!(event.created_at_secs, secs.map(|secs| secs as i64));
        let raw = event.data.map(|data| serde_json::from_str::<Value>(data.get()).unwrap());
        prop_assert_eq!(raw.unwrap_or(json!(null)), data.cloned().unwrap_or(json!(null)));
    }
}
