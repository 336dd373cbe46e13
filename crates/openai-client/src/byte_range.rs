//! What the headers of an answer say about parts of a file (RFC 9110, sections 8.8, 13.1.5 and 14): whether the rest of
//! it can be asked for, and whether what came is that rest.

use reqwest::header::{ACCEPT_RANGES, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue};

/// Which bytes a 206 holds, or how long the file is that a 416 has no more of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentRange {
    /// Both ends included; `total_bytes` of the whole file, unless it is written `*`.
    Part {
        first: u64,
        last: u64,
        total_bytes: Option<u64>,
    },
    Unsatisfied {
        total_bytes: u64,
    },
}

/// The validator under which the rest of this file may be asked for: a strong ETag of a server that sends ranges. A weak
/// one only says that two files mean the same, not that their bytes are the same.
pub(crate) fn resumable_under(headers: &HeaderMap) -> Option<HeaderValue> {
    let units = headers.get_all(ACCEPT_RANGES).iter().filter_map(|value| value.to_str().ok());
    let sends_ranges = units.flat_map(|value| value.split(',')).any(|unit| unit.trim() == "bytes");
    let etag = headers.get(ETAG).filter(|etag| is_strong(etag))?;
    sends_ranges.then(|| etag.clone())
}

/// Quoted, and without `W/` before it.
fn is_strong(etag: &HeaderValue) -> bool {
    let inner = etag.as_bytes().strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    inner.is_some_and(|inner| !inner.contains(&b'"'))
}

/// The header `Content-Range`, if it is well-formed.
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
    let sound = first <= last && total_bytes.is_none_or(|total| last < total);
    sound.then_some(ContentRange::Part { first, last, total_bytes })
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
    fn only_a_strong_etag_of_a_server_that_sends_ranges_allows_to_resume() {
        let resumable =
            |etag, ranges| resumable_under(&headers(&[("etag", etag), ("accept-ranges", ranges)])).is_some();
        assert!(resumable("\"a\"", "bytes") && resumable("\"\"", "none, bytes"));
        for (etag, ranges) in
            [("W/\"a\"", "bytes"), ("\"a\"", "none"), ("a", "bytes"), ("\"", "bytes"), ("\"a\"b\"", "bytes")]
        {
            assert!(!resumable(etag, ranges), "{etag} {ranges}");
        }
        assert!(resumable_under(&headers(&[("etag", "\"a\"")])).is_none());
        assert!(resumable_under(&headers(&[("accept-ranges", "bytes")])).is_none());
    }

    #[test]
    fn content_ranges_are_read_strictly() {
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
