//! Lenient JSON parsing: named fields of an object as raw text, and values that are `None` if they have another type.
//! Lone surrogates, U+0000 and out-of-range numbers never cause an error: they are left alone, or become U+FFFD in
//! extracted text.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{Deserializer as _, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// 9999-12-31T23:59:59Z: later times do not fit the fixed-width format in SQLite.
const UNIX_SECS_MAX: f64 = 253_402_300_799.0;

/// The body as text without a byte order mark. Invalid UTF-8 becomes U+FFFD: one broken character must not make an
/// object unreadable, and the raw response is stored elsewhere.
pub(crate) fn text_of(raw: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw))
}

/// The raw values of some fields of a JSON object; a `null` field counts as missing. If a field is repeated, the last
/// one counts, as in Python and JavaScript; other fields are skipped without being built.
pub(crate) fn fields<'a, const N: usize>(
    json: &'a str,
    names: [&'static str; N],
) -> Result<[Option<&'a RawValue>; N], serde_json::Error> {
    // The serde error would contain the text, and bodies must never be logged.
    if !json.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{') {
        return Err(serde_json::Error::custom("not a JSON object"));
    }
    let found = webhook::fields(serde_json::Deserializer::from_str(json), names)?;
    Ok(found.map(|raw| raw.filter(|raw| raw.get() != "null")))
}

/// [`fields`] of a nested value; all missing if it is not an object.
pub(crate) fn inner<'a, const N: usize>(
    raw: Option<&'a RawValue>,
    names: [&'static str; N],
) -> [Option<&'a RawValue>; N] {
    raw.and_then(|raw| fields(raw.get(), names).ok()).unwrap_or([None; N])
}

/// Calls `take` for each element of an array, and never for another type. Nothing is collected: an array of a million
/// zeros uses no memory.
pub(crate) fn each_element<'a>(array: Option<&'a RawValue>, take: impl FnMut(&'a RawValue)) {
    struct Elements<F>(F);

    impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for Elements<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON array")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
            while let Some(element) = elements.next_element::<&'de RawValue>()? {
                self.0(element);
            }
            Ok(())
        }
    }

    if let Some(array) = array {
        // It is valid JSON, so the only possible error is another type.
        let _ = serde_json::Deserializer::from_str(array.get()).deserialize_seq(Elements(take));
    }
}

/// A non-empty JSON string. U+0000, which PostgreSQL cannot store, and lone surrogates become U+FFFD.
pub(crate) fn text(raw: Option<&RawValue>) -> Option<String> {
    any_text(raw).filter(|text| !text.is_empty())
}

/// A JSON string, which may be empty.
pub(crate) fn any_text(raw: Option<&RawValue>) -> Option<String> {
    let json = raw?.get();
    let quoted = json.strip_prefix('"')?.strip_suffix('"')?;
    let text = serde_json::from_str(json).unwrap_or_else(|_| unescape_lossy(quoted));
    Some(if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text })
}

/// An integer, also in the form `12.0`.
pub(crate) fn integer(raw: Option<&RawValue>) -> Option<i64> {
    let json = raw?.get();
    serde_json::from_str::<i64>(json).ok().or_else(|| {
        let float = serde_json::from_str::<f64>(json).ok()?;
        // Up to 2^53 a float represents every integer.
        (float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0).then_some(float as i64)
    })
}

/// `true` or `false`.
pub(crate) fn flag(raw: Option<&RawValue>) -> Option<bool> {
    serde_json::from_str(raw?.get()).ok()
}

/// A time in Unix seconds, with or without a fraction (as documented for responses). Some senders use zero for "not
/// yet".
pub(crate) fn time(raw: Option<&RawValue>) -> Option<DateTime<Utc>> {
    let secs = serde_json::from_str::<f64>(raw?.get()).ok()?;
    if !(secs > 0.0 && secs <= UNIX_SECS_MAX) {
        return None;
    }
    // PostgreSQL stores microseconds, and a float of this size still resolves them.
    DateTime::from_timestamp_micros((secs * 1e6).round() as i64)
}

/// The JSON text of an object, unchanged.
pub(crate) fn object_text(raw: Option<&RawValue>) -> Option<String> {
    raw.map(RawValue::get).filter(|json| json.starts_with('{')).map(str::to_owned)
}

/// The JSON text of an array, unchanged.
pub(crate) fn array_text(raw: Option<&RawValue>) -> Option<String> {
    raw.map(RawValue::get).filter(|json| json.starts_with('[')).map(str::to_owned)
}

/// The JSON text of an error, whatever its type. An object whose fields are all `null` is not an error: some objects
/// report success that way.
pub(crate) fn error_text(raw: Option<&RawValue>) -> Option<String> {
    let json = raw?.get();
    let [code, message, kind, data] = inner(raw, ["code", "message", "type", "data"]);
    let is_empty = json.starts_with('{') && [code, message, kind, data].iter().all(Option::is_none);
    (!is_empty).then(|| json.to_owned())
}

/// Unescapes a JSON string that is well-formed except for its surrogates.
fn unescape_lossy(quoted: &str) -> String {
    let mut text = String::with_capacity(quoted.len());
    let mut rest = quoted;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(escape) = rest.chars().next() else { break };
        rest = &rest[escape.len_utf8()..];
        text.push(match escape {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => code_point(&mut rest),
            other => other,
        });
    }
    text.push_str(rest);
    text
}

/// Parses `XXXX` or `XXXX\uXXXX` at the start of `rest` into a character.
fn code_point(rest: &mut &str) -> char {
    let Some(first) = hex(rest) else { return char::REPLACEMENT_CHARACTER };
    *rest = &rest[4..];
    if let 0xd800..=0xdbff = first
        && let Some(second) = rest.strip_prefix("\\u").and_then(hex)
        && let 0xdc00..=0xdfff = second
    {
        *rest = &rest[6..];
        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_last_of_a_repeated_field_counts_and_null_is_missing() {
        let [a, b] = fields(r#" {"a":1,"b":2,"a":3,"b":null,"c":[{}]} "#, ["a", "b"]).unwrap();
        assert_eq!((a.map(RawValue::get), b.map(RawValue::get)), (Some("3"), None));
    }

    #[test]
    fn keys_are_compared_unescaped_and_may_hold_lone_surrogates() {
        let [id] = fields(r#"{"\ud800":0,"\u0069d":"x","idx":1,"i":2}"#, ["id"]).unwrap();
        assert_eq!(text(id).as_deref(), Some("x"));
    }

    #[test]
    fn deep_nesting_uses_no_stack() {
        let deep = format!(r#"{{"a":{}{},"id":"x"}}"#, "[".repeat(500_000), "]".repeat(500_000));
        let [a, id] = fields(&deep, ["a", "id"]).unwrap();
        let mut elements = 0;
        each_element(a, |_| elements += 1);
        assert_eq!((elements, text(id).as_deref()), (1, Some("x")));
    }

    #[test]
    fn a_text_that_is_not_an_object_is_an_error_that_does_not_repeat_it() {
        for json in ["\"secret\"", "[\"secret\"]", "secret", "{} secret", "{\"secret\"}", "{\"secret\":}", ""]
        {
            let error = fields(json, ["secret"]).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn lone_surrogates_and_zero_bytes_become_replacement_characters() {
        let cases = [
            (r#""a\ud800b""#, "a\u{fffd}b"),
            (r#""\ud800\ud83d\ude00\udc00\n\"\\\/\u00e9""#, "\u{fffd}😀\u{fffd}\n\"\\/é"),
            (r#""a\u0000b""#, "a\u{fffd}b"),
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\udfff\u0000\ud83d""#, "\u{fffd}\u{fffd}\u{fffd}"),
            (r#""\ud800\u0041é""#, "\u{fffd}Aé"),
        ];
        for (json, expected) in cases {
            assert_eq!(text(Some(raw(json))).as_deref(), Some(expected), "{json}");
        }
    }

    #[test]
    fn values_of_another_type_are_none() {
        for json in ["7", "{}", "[]", "true", "\"\"", "1e400000"] {
            assert_eq!(text(Some(raw(json))), None, "{json}");
        }
        for json in ["\"7\"", "7.5", "1e400000", "9223372036854775808", "1e300", "[7]"] {
            assert_eq!(integer(Some(raw(json))), None, "{json}");
        }
        for json in ["\"1750861210\"", "0", "-5", "1e400000", "1e300", "253402300800", "true"] {
            assert_eq!(time(Some(raw(json))), None, "{json}");
        }
    }

    #[test]
    fn numbers_may_be_integers_or_floats() {
        assert_eq!(integer(Some(raw("12.0"))), Some(12));
        assert_eq!(integer(Some(raw("9223372036854775807"))), Some(i64::MAX));
        let secs = |json| time(Some(raw(json))).unwrap().to_rfc3339();
        assert_eq!(secs("1750861210"), "2025-06-25T14:20:10+00:00");
        assert_eq!(secs("1750861210.25"), "2025-06-25T14:20:10.250+00:00");
        assert_eq!(secs("253402300799"), "9999-12-31T23:59:59+00:00");
    }

    #[test]
    fn an_error_object_of_nulls_is_no_error() {
        assert_eq!(error_text(Some(raw(r#"{"code":null,"message":null,"param":null}"#))), None);
        assert_eq!(error_text(Some(raw("{}"))), None);
        assert_eq!(error_text(Some(raw(r#"{"code":"x"}"#))).as_deref(), Some(r#"{"code":"x"}"#));
        assert_eq!(error_text(Some(raw("\"boom\""))).as_deref(), Some("\"boom\""));
    }
}
