//! Makes values fit their columns, by the stricter of the two dialects. PostgreSQL's `jsonb` rejects `\u0000`, lone
//! surrogates and numbers out of range; both databases reject JSON that is nested too deeply, SQLite only when a view
//! reads it. Such bytes go unchanged to the bytes column; text extracted from JSON is sanitized; long keys are
//! shortened.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use serde::de::IgnoredAny;
use serde::ser::{Serialize as _, SerializeMap as _, Serializer};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

/// `numeric` holds 131072 digits before the decimal point and 16383 after it. The limit is far below that, so readers
/// can parse the numbers, and far above any real number.
const NUMBER_BYTES_MAX: usize = 4096;
const EXPONENT_MAX: u32 = 4096;
/// Maximum nesting of arrays and objects. SQLite reads 1000 levels, PostgreSQL as many as its stack holds, most
/// programs a few hundred.
const DEPTH_MAX: usize = 128;
/// `serde_json` reads one level less, and creates `--json` output and notifications.
const NESTED_DEPTH_MAX: usize = 127;
/// PostgreSQL limits all columns of a primary key together to a third of a page, 2704 bytes.
const KEY_BYTES_MAX: usize = 2000;
/// The prefix of a longer key that is kept before its hash.
const KEY_BYTES_KEPT: usize = 1000;

/// A value for a pair of columns: either the JSON text or the bytes, never both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JsonColumns<'a> {
    pub(crate) text: Option<&'a str>,
    pub(crate) bytes: Option<&'a [u8]>,
}

impl<'a> JsonColumns<'a> {
    pub(crate) fn of(raw: Option<&'a [u8]>) -> Self {
        match raw.map(|raw| (raw, json_column_text(raw))) {
            None => Self { text: None, bytes: None },
            Some((_, Some(text))) => Self { text: Some(text), bytes: None },
            Some((raw, None)) => Self { text: None, bytes: Some(raw) },
        }
    }
}

fn json_column_text(raw: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(raw).ok()?;
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    let found = Findings::of(text);
    (found.unsupported.is_empty() && found.depth <= DEPTH_MAX).then_some(text)
}

/// Whether a JSON column accepts this text unchanged.
pub(crate) fn fits_json_column(json: &str) -> bool {
    json_column_text(json.as_bytes()).is_some()
}

/// Text that both dialects accept: U+0000 becomes U+FFFD.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{FFFD}")) } else { Cow::Borrowed(text) }
}

/// An id for a primary key: ids over 2000 bytes are shortened to a prefix and a hash of the whole id.
pub(crate) fn key(id: &str) -> Cow<'_, str> {
    if id.len() <= KEY_BYTES_MAX {
        return plain(id);
    }
    let begin = plain(&id[..id.floor_char_boundary(KEY_BYTES_KEPT)]).into_owned();
    let hash: String = Sha256::digest(id.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    Cow::Owned(format!("{begin}…sha256:{hash}"))
}

/// Sanitizes JSON extracted from an object (usage, error, citations): values that no column accepts are replaced in
/// place; invalid or too deeply nested JSON becomes a JSON string.
pub(crate) fn sanitized(json: &str) -> Cow<'_, str> {
    let as_string = || Cow::Owned(serde_json::to_string(&plain(json)).expect("a string is JSON"));
    if serde_json::from_str::<IgnoredAny>(json).is_err() {
        return as_string();
    }
    let Findings { unsupported, depth } = Findings::of(json);
    if depth > DEPTH_MAX {
        return as_string();
    }
    if unsupported.is_empty() {
        return Cow::Borrowed(json);
    }
    let mut sanitized = String::with_capacity(json.len());
    let mut kept_to = 0;
    for (range, replacement) in unsupported {
        sanitized.push_str(&json[kept_to..range.start]);
        sanitized.push_str(replacement);
        kept_to = range.end;
    }
    sanitized.push_str(&json[kept_to..]);
    Cow::Owned(sanitized)
}

/// The properties of valid JSON that decide whether a column accepts it.
struct Findings {
    /// The ranges that `jsonb` rejects, each with its replacement.
    unsupported: Vec<(Range<usize>, &'static str)>,
    /// The maximum nesting of arrays and objects.
    depth: usize,
}

impl Findings {
    fn of(json: &str) -> Self {
        let bytes = json.as_bytes();
        let mut found = Vec::new();
        let (mut depth, mut depth_max) = (0_usize, 0);
        let mut at = 0;
        while at < bytes.len() {
            let start = at;
            at += 1;
            match bytes[start] {
                b'"' => at = end_of_string(bytes, at, &mut found),
                b'[' | b'{' => {
                    depth += 1;
                    depth_max = depth_max.max(depth);
                }
                b']' | b'}' => depth = depth.saturating_sub(1),
                b'-' | b'0'..=b'9' => {
                    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
                    at = start + bytes[start..].iter().take_while(|byte| is_part(byte)).count();
                    if is_out_of_range(&json[start..at]) {
                        found.push((start..at, "null"));
                    }
                }
                _ => {}
            }
        }
        Self { unsupported: found, depth: depth_max }
    }
}

/// The position after the quote that ends the string whose content begins at `at`. Most of a body is text, so it is
/// searched, not parsed.
fn end_of_string(bytes: &[u8], mut at: usize, found: &mut Vec<(Range<usize>, &'static str)>) -> usize {
    while let Some(length) = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
        let start = at + length;
        if bytes[start] == b'"' {
            return start + 1;
        }
        at = match unit_at(bytes, start) {
            Some(unit) => {
                let low = unit_at(bytes, start + 6);
                let paired = (0xD800..0xDC00).contains(&unit)
                    && low.is_some_and(|low| (0xDC00..0xE000).contains(&low));
                let end = start + if paired { 12 } else { 6 };
                if unit == 0 || (!paired && (0xD800..0xE000).contains(&unit)) {
                    found.push((start..end, r"\ufffd"));
                }
                end
            }
            None => start + 2,
        };
    }
    bytes.len()
}

/// The UTF-16 code unit of an escape `\uXXXX`.
fn unit_at(bytes: &[u8], at: usize) -> Option<u32> {
    let escape = bytes.get(at..at + 6)?;
    let digits = escape.strip_prefix(br"\u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn is_out_of_range(number: &str) -> bool {
    let exponent = number.find(['e', 'E']).map(|at| number[at + 1..].trim_start_matches(['+', '-']));
    number.len() > NUMBER_BYTES_MAX
        || exponent
            .is_some_and(|digits| digits.parse::<u32>().map_or(true, |exponent| exponent > EXPONENT_MAX))
}

/// For `--json`: JSON text is nested as JSON, any other text as a string.
pub(crate) fn nested<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    match text {
        None => serializer.serialize_none(),
        Some(text) => serialize_text(text, serializer),
    }
}

/// For `--json`: bytes are nested as JSON, else as a string, else as `{"base64": …}`.
pub(crate) fn nested_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => serialize_text(text, serializer),
        Err(_) => {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry("base64", &base64::engine::general_purpose::STANDARD.encode(bytes))?;
            map.end()
        }
    }
}

/// Like [`nested_bytes`], for optional bytes.
pub(crate) fn nested_optional_bytes<S: Serializer>(
    bytes: &Option<Vec<u8>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match bytes {
        None => serializer.serialize_none(),
        Some(bytes) => nested_bytes(bytes, serializer),
    }
}

fn serialize_text<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    // Lone surrogates, huge numbers and deep nesting are well-formed, but a `serde_json::Value` cannot hold them.
    let found = Findings::of(text);
    let is_plain = found.unsupported.is_empty() && found.depth <= NESTED_DEPTH_MAX;
    let json = is_plain.then(|| serde_json::from_str::<&RawValue>(text));
    match json {
        Some(Ok(json)) => json.serialize(serializer),
        Some(Err(_)) | None => serializer.serialize_str(text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_text(raw: &[u8]) -> bool {
        JsonColumns::of(Some(raw)).text.is_some()
    }

    #[test]
    fn ordinary_json_is_text() {
        for json in [
            r#"{"a":"\u00e4\ud83d\ude00","b":[1,-2.5e10,1e-7],"c":"\\u0000"}"#,
            "[]",
            "null",
            r#""1e999999 in a text""#,
        ] {
            assert!(is_text(json.as_bytes()), "{json}");
        }
    }

    #[test]
    fn json_that_jsonb_rejects_goes_to_the_bytes_column() {
        let long = "9".repeat(NUMBER_BYTES_MAX + 1);
        for json in [
            &b"\xff"[..],
            b"{",
            b"{} {}",
            br#"{"a":"\u0000"}"#,
            br#"{"a":"\\\u0000"}"#,
            br#"{"a":"\ud800"}"#,
            br#"{"a":"\ud800\ud800"}"#,
            br#"{"a":"\udc00\ud800"}"#,
            br#"{"a":1e400000}"#,
            br#"{"a":1E-99999999999999999999}"#,
            long.as_bytes(),
        ] {
            let columns = JsonColumns::of(Some(json));
            assert_eq!(
                (columns.text, columns.bytes),
                (None, Some(json)),
                "{}",
                String::from_utf8_lossy(json)
            );
        }
    }

    #[test]
    fn json_nested_deeper_than_128_levels_goes_to_the_bytes_column() {
        let nested = |depth: usize| format!("{}7{}", r#"{"a":["#.repeat(depth / 2), "]}".repeat(depth / 2));
        let in_text = format!(r#"["{}"]"#, "[{".repeat(500));
        assert!(is_text(nested(128).as_bytes()) && is_text(in_text.as_bytes()));
        for depth in [130, 1500, 100_000] {
            assert!(!is_text(nested(depth).as_bytes()), "{depth}");
            let extracted = sanitized(&nested(depth)).into_owned();
            assert_eq!(serde_json::from_str::<String>(&extracted).unwrap(), nested(depth));
        }
    }

    #[test]
    fn nested_json_can_always_be_read_as_a_value() {
        #[derive(serde::Serialize)]
        struct Row(#[serde(serialize_with = "nested_optional_bytes")] Option<Vec<u8>>);
        for depth in [1, 126, 127, 128, 129, 5000] {
            let json = "[".repeat(depth) + &"]".repeat(depth);
            let value = serde_json::to_value(Row(Some(json.clone().into_bytes()))).unwrap();
            assert_eq!(value.is_array(), depth <= 127, "{depth}");
            assert!(value.is_array() || value == json.as_str());
        }
    }

    #[test]
    fn long_keys_are_shortened_and_stay_distinct() {
        let long = |end: &str| format!("{}{end}", "ä".repeat(1500));
        for id in [long("a"), "x".repeat(2001), format!("\0{}", long("b"))] {
            let key = key(&id);
            assert!(key.len() < 1100 && !key.contains('\0'), "{key}");
        }
        assert_ne!(key(&long("a")), key(&long("b")));
        assert_eq!(key(&long("a")), key(&long("a")));
        assert_eq!(key(&"x".repeat(2000)), "x".repeat(2000));
        assert_eq!(key("a\0b"), "a\u{FFFD}b");
    }

    #[test]
    fn extracted_json_is_sanitized_in_place() {
        let extracted = r#"{"a":"x\u0000y","b":"\udc00","c":"\ud83d\ude00","d":[1e999999,2]}"#;
        assert_eq!(sanitized(extracted), r#"{"a":"x\ufffdy","b":"\ufffd","c":"\ud83d\ude00","d":[null,2]}"#);
        assert!(matches!(sanitized("{\"a\":1}"), Cow::Borrowed(_)));
        assert_eq!([sanitized(""), sanitized("no \0 \"JSON\"")], [r#""""#, "\"no \u{FFFD} \\\"JSON\\\"\""]);
        assert_eq!(plain("a\0b"), "a\u{FFFD}b");
    }

    proptest! {
        #[test]
        fn nothing_panics_and_sanitized_json_can_be_stored(text in r#"([\\"u0dD8cC{}:,\[\]eE+\-.1-9]|\\u0000|\\ud83d){0,60}"#) {
            let sanitized = sanitized(&text);
            prop_assert!(is_text(sanitized.as_bytes()), "{text} became {sanitized}");
        }

        #[test]
        fn any_string_survives_as_json_text(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(is_text(json.as_bytes()), !text.contains('\0'));
        }
    }
}
