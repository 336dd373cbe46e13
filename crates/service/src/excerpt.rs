//! Sanitizes untrusted text, such as paths and ids, for logs.

use std::borrow::Cow;

const LOGGED_BYTES_MAX: usize = 256;
const ELLIPSIS: &str = "…";

/// Returns at most 256 bytes of the text, with every character escaped that could break a line or affect a terminal.
/// Borrowed if nothing has to change.
pub fn excerpt<'t>(text: impl Into<Cow<'t, str>>) -> Cow<'t, str> {
    let text = text.into();
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b'\'');
    if text.len() <= LOGGED_BYTES_MAX && text.bytes().all(plain) {
        return text;
    }
    let mut short = String::new();
    for character in text.chars() {
        let escaped = character.escape_debug();
        let bytes: usize = escaped.clone().map(char::len_utf8).sum();
        if short.len() + bytes > LOGGED_BYTES_MAX - ELLIPSIS.len() {
            short.push_str(ELLIPSIS);
            break;
        }
        short.extend(escaped);
    }
    Cow::Owned(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_unchanged() {
        assert!(matches!(excerpt("wh_1 /path?x=y"), Cow::Borrowed("wh_1 /path?x=y")));
        assert_eq!(excerpt("ä"), "ä");
    }

    #[test]
    fn long_text_is_truncated_to_256_bytes_between_characters() {
        for text in ["x".repeat(60_000), "ä".repeat(1_000), "\n".repeat(1_000), "x".repeat(257)] {
            let short = excerpt(&text);
            assert!(short.len() <= LOGGED_BYTES_MAX && short.len() > 240, "{short}");
            assert!(short.ends_with(ELLIPSIS), "{short}");
        }
        assert_eq!(excerpt("x".repeat(256)), "x".repeat(256));
    }

    #[test]
    fn line_breaks_and_bidi_marks_are_escaped() {
        let text = "a\nb\u{2028}c\u{202e}d\u{1b}[31me\"";
        assert_eq!(excerpt(text), r#"a\nb\u{2028}c\u{202e}d\u{1b}[31me\""#);
    }
}
