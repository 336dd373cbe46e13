//! Sanitizes external text for the terminal: it cannot contain escape sequences, start a new line, or use bidirectional
//! or invisible characters to disguise its content.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

/// Replaces each character that is not printed.
const HIDDEN: char = '\u{fffd}';
const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// Sanitizes a name, an id or a path: one line, no invisible characters.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if is_unseen(c) { HIDDEN } else { c }).collect()
}

/// Sanitizes prose, such as an error message: one line, each run of white space as one space.
pub(crate) fn sentence(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().map(|c| if is_unseen(c) && !is_joiner(c) { HIDDEN } else { c }).collect()
}

/// Sanitizes prose and keeps its lines. Tabs become spaces.
pub(crate) fn lines(text: &str) -> String {
    let shown = |c: char| match c {
        '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => '\n',
        '\n' => c,
        c if is_unseen(c) && !is_joiner(c) => HIDDEN,
        c => c,
    };
    text.replace('\t', "    ").replace("\r\n", "\n").chars().map(shown).collect()
}

/// Line breaks, control characters, and formatting characters such as bidi marks.
fn is_unseen(c: char) -> bool {
    matches!(
        c.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    )
}

/// Some scripts and composed emoji need them.
fn is_joiner(c: char) -> bool {
    matches!(c, ZERO_WIDTH_NON_JOINER | ZERO_WIDTH_JOINER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_comes_from_outside_nothing_printed_steers(text in any::<String>()) {
            let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            prop_assert!(!one_line(&text).contains(breaks));
            prop_assert!(!sentence(&text).contains(breaks));
            prop_assert!(!lines(&text).contains(|c: char| breaks(c) && c != '\n'));
            prop_assert_eq!(one_line(&text).chars().count(), text.chars().count());
        }
    }

    #[test]
    fn escape_sequences_are_not_printed() {
        assert_eq!(lines("a\u{1b}[31mb\u{7}\u{9b}c\r\nd\te\u{202e}"), "a�[31mb��c\nd    e�");
        assert_eq!(one_line("a\u{1b}[31mb\u{7}\u{9b}"), "a�[31mb��");
    }

    #[test]
    fn names_have_no_line_breaks_and_no_marks() {
        for c in "\n\r\t\u{b}\u{c}\u{85}\u{2028}\u{2029}\u{61c}\u{200b}\u{200d}\u{200e}\u{200f}\u{202a}\u{2066}\u{feff}\u{e0041}"
            .chars()
        {
            assert_eq!(one_line(&format!("resp_{c}1")), "resp_�1", "{c:?}");
        }
        assert_eq!(one_line("batch_ä1 – 批"), "batch_ä1 – 批");
    }

    #[test]
    fn prose_keeps_its_words_and_joiners() {
        assert_eq!(sentence(" could not\r\n  read\u{2028}it\u{200f} "), "could not read it�");
        assert_eq!(sentence("می\u{200c}خواهم 👩\u{200d}🚀"), "می\u{200c}خواهم 👩\u{200d}🚀");
        assert_eq!(lines("one\u{2028}two\u{85}three"), "one\ntwo\nthree");
    }
}
