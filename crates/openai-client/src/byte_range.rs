//! Parses the headers about byte ranges of a file (RFC 9110, sections 8.8, 13.1.5 and 14): whether the rest can be
//! requested, and whether a response contains that rest.

use reqwest::header::{ACCEPT_RANGES, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue};

/// The bytes in a 206, or the file length reported by a 416.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentRange {
    /// Both ends are inclusive; `total_bytes` is the length of the whole file, `None` if given as `*`.
    Part {
        first: u64,
        last: u64,
        total_bytes: Option<u64>,
    },
    Unsatisfied {
        total_bytes: u64,
    },
}

/// The validator with which the rest of this file can be requested: a strong ETag from a server that supports ranges. A
/// weak ETag only guarantees equivalent content, not equal bytes.
pub(crate) fn range_validator(headers: &HeaderMap) -> Option<HeaderValue> {
    let units = headers.get_all(ACCEPT_RANGES).iter().filter_map(|value| value.to_str().ok());
    let supports_ranges = units.flat_map(|value| value.split(',')).any(|unit| unit.trim() == "bytes");
    let etag = headers.get(ETAG).filter(|etag| is_strong(etag))?;
    supports_ranges.then(|| etag.clone())
}

/// Quoted, without a `W/` prefix.
fn is_strong(etag: &HeaderValue) -> bool {
    let inner = etag.as_bytes().strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    inner.is_some_and(|inner| !inner.contains(&b'"'))
}

/// The `Content-Range` header, if it is well-formed.
pub(crate) fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let mut values = headers.get_all(CONTENT_RANGE).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (range, total) = value.to_str().ok()?.trim().strip_prefix("bytes ")?.split_once('/')?;
    if range == "*" {
        return Some(ContentRange::Unsatisfied { total_bytes: number(total)? });
    }
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let total_bytes = if total == "*" { None } else { Some(number(total)?) };
    let is_valid = first <= last && total_bytes.is_none_or(|total| last < total);
    is_valid.then_some(ContentRange::Part { first, last, total_bytes })
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (name.parse().unwrap(), HeaderValue::from_static(value))
        };
        HeaderMap::from_iter(pairs.iter().map(pair))
    }

    #[test]
    fn only_a_strong_etag_with_range_support_allows_resuming() {
        let resumable =
            |etag, ranges| range_validator(&headers(&[("etag", etag), ("accept-ranges", ranges)])).is_some();
        assert!(resumable("\"a\"", "bytes") && resumable("\"\"", "none, bytes"));
        for (etag, ranges) in
            [("W/\"a\"", "bytes"), ("\"a\"", "none"), ("a", "bytes"), ("\"", "bytes"), ("\"a\"b\"", "bytes")]
        {
            assert!(!resumable(etag, ranges), "{etag} {ranges}");
        }
        assert!(range_validator(&headers(&[("etag", "\"a\"")])).is_none());
        assert!(range_validator(&headers(&[("accept-ranges", "bytes")])).is_none());
    }

    #[test]
    fn content_ranges_are_parsed_strictly() {
        let read = |value| content_range(&headers(&[("content-range", value)]));
        let part = |first, last, total_bytes| Some(ContentRange::Part { first, last, total_bytes });
        assert_eq!(read("bytes 5-9/10"), part(5, 9, Some(10)));
        assert_eq!(read("bytes 5-9/*"), part(5, 9, None));
        assert_eq!(read("bytes */10"), Some(ContentRange::Unsatisfied { total_bytes: 10 }));
        for wrong in [
            "bytes 9-5/10",
            "bytes 5-10/10",
            "bytes 5-9",
            "5-9/10",
            "items 5-9/10",
            "bytes -9/10",
            "bytes 5-/10",
            "bytes */*",
            "bytes +5-9/10",
            "bytes 5-9/99999999999999999999",
            "",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let mut twice = headers(&[("content-range", "bytes 5-9/10")]);
        twice.append(CONTENT_RANGE, HeaderValue::from_static("bytes 6-9/10"));
        assert_eq!(content_range(&twice), None);
    }
}
