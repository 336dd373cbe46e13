//! A minimal HTTP/1.1 parser that finds the end of a response.

/// The state of the response at the start of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ParsedResponse {
    Partial,
    Malformed,
    Complete { status: u16, bytes: usize, closes: bool },
}

/// Parses the response at the start of the buffer. All peers send `Content-Length`.
pub(crate) fn parse(buffer: &[u8]) -> ParsedResponse {
    let Some(head_end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return ParsedResponse::Partial;
    };
    let Ok(head) = std::str::from_utf8(&buffer[..head_end]) else { return ParsedResponse::Malformed };
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let (mut length, mut closes) = (None, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse::<usize>().ok();
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        }
    }
    let (Some(status), Some(length)) = (status, length) else { return ParsedResponse::Malformed };
    let bytes = head_end + 4 + length;
    if buffer.len() < bytes {
        ParsedResponse::Partial
    } else {
        ParsedResponse::Complete { status, bytes, closes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_ends_at_its_content_length() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: close\r\n\r\nhiHTTP";
        let whole = ParsedResponse::Complete { status: 200, bytes: text.len() - 4, closes: true };
        assert_eq!(parse(text), whole);
        assert_eq!(parse(&text[..text.len() - 5]), ParsedResponse::Partial);
        assert_eq!(parse(&text[..20]), ParsedResponse::Partial);
        assert_eq!(parse(b"nonsense\r\n\r\n"), ParsedResponse::Malformed);
    }
}
