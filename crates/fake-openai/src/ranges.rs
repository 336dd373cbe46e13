//! Range requests (RFC 9110 sections 13 and 14): a single range, only if the ETag is unchanged.

/// The part of a file that a request selects.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum RequestedRange {
    /// 200 with the whole file.
    Whole,
    /// 206 with these bytes, both ends inclusive.
    Part { first: u64, last: u64 },
    /// 416.
    Unsatisfiable,
}

/// A malformed range, another unit or several ranges are ignored, as the RFC allows. An `If-Range` that is not this
/// strong ETag, or that is a date, selects the whole file.
pub(crate) fn requested_range(
    range: Option<&str>,
    if_range: Option<&str>,
    etag: &str,
    len: u64,
) -> RequestedRange {
    let Some((first, last)) =
        range.and_then(|range| range.trim().strip_prefix("bytes=")).and_then(|range| range.split_once('-'))
    else {
        return RequestedRange::Whole;
    };
    if if_range.is_some_and(|given| given.trim() != etag || given.trim().starts_with("W/")) {
        return RequestedRange::Whole;
    }
    let (first, last) = (first.trim(), last.trim());
    match (number(first), number(last)) {
        // A suffix range.
        (None, Some(count)) if first.is_empty() => match count.min(len) {
            0 => RequestedRange::Unsatisfiable,
            count => RequestedRange::Part { first: len - count, last: len - 1 },
        },
        (Some(first), last_number) if last_number.is_some() || last.is_empty() => {
            if last_number.is_some_and(|last| last < first) {
                return RequestedRange::Whole;
            }
            if first >= len {
                return RequestedRange::Unsatisfiable;
            }
            RequestedRange::Part { first, last: last_number.map_or(len - 1, |last| last.min(len - 1)) }
        }
        _ => RequestedRange::Whole,
    }
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_the_rfc() {
        let part = |first, last| RequestedRange::Part { first, last };
        let cases = [
            ("bytes=0-", part(0, 99)),
            ("bytes=10-19", part(10, 19)),
            ("bytes=99-99", part(99, 99)),
            ("bytes=90-1000", part(90, 99)),
            ("bytes=-10", part(90, 99)),
            ("bytes=-1000", part(0, 99)),
            ("bytes=-0", RequestedRange::Unsatisfiable),
            ("bytes=100-", RequestedRange::Unsatisfiable),
            ("bytes=100-200", RequestedRange::Unsatisfiable),
            ("bytes=20-10", RequestedRange::Whole),
            ("bytes=-", RequestedRange::Whole),
            ("bytes=a-b", RequestedRange::Whole),
            ("bytes=+1-5", RequestedRange::Whole),
            ("bytes=0-1,5-6", RequestedRange::Whole),
            ("lines=0-1", RequestedRange::Whole),
            ("bytes=99999999999999999999-", RequestedRange::Whole),
        ];
        for (range, expected) in cases {
            assert_eq!(requested_range(Some(range), None, "\"a\"", 100), expected, "{range}");
        }
        assert_eq!(requested_range(None, None, "\"a\"", 100), RequestedRange::Whole);
        assert_eq!(requested_range(Some("bytes=0-"), None, "\"a\"", 0), RequestedRange::Unsatisfiable);
    }

    #[test]
    fn if_range_needs_the_same_strong_etag() {
        let with = |if_range| requested_range(Some("bytes=1-"), Some(if_range), "\"a\"", 100);
        assert_eq!(with("\"a\""), RequestedRange::Part { first: 1, last: 99 });
        assert_eq!(
            requested_range(Some("bytes=1-"), Some("W/\"a\""), "W/\"a\"", 100),
            RequestedRange::Whole,
            "weak"
        );
        for other in ["\"b\"", "W/\"a\"", "Sun, 22 Nov 2026 00:00:00 GMT"] {
            assert_eq!(with(other), RequestedRange::Whole, "{other}");
        }
    }
}
