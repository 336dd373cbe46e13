//! The one place that makes text from outside safe to show: an id or an error of a stranger can neither steer a terminal,
//! nor begin a line of its own, nor read differently from what it says.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

/// Stands for every character that is not shown.
const HIDDEN: char = '\u{fffd}';
const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// A name, an id, a path: on one line, without any character that cannot be seen.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if is_unseen(c) { HIDDEN } else { c }).collect()
}

/// A text for people, such as an error: on one line, blanks and line breaks as one blank.
pub(crate) fn sentence(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().map(|c| if is_unseen(c) && !is_joiner(c) { HIDDEN } else { c }).collect()
}

/// A text for people that keeps its lines. Tabs become blanks.
pub(crate) fn lines(text: &str) -> String {
    let shown = |c: char| match c {
        '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => '\n',
        '\n' => c,
        c if is_unseen(c) && !is_joiner(c) => HIDDEN,
        c => c,
    };
    text.replace('\t', "    ").replace("\r\n", "\n").chars().map(shown).collect()
}

/// Line breaks, control characters, and those that only change how others are shown, such as bidi marks.
fn is_unseen(c: char) -> bool {
    matches!(
        c.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    )
}

/// Words of some languages, and emoji made of several, need them.
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
    fn what_steers_a_terminal_is_not_printed() {
        assert_eq!(lines("a\u{1b}[31mb\u{7}\u{9b}c\r\nd\te\u{202e}"), "a�[31mb��c\nd    e�");
        assert_eq!(one_line("a\u{1b}[31mb\u{7}\u{9b}"), "a�[31mb��");
    }

    #[test]
    fn no_line_break_and_no_mark_passes_in_a_name() {
        for c in "\n\r\t\u{b}\u{c}\u{85}\u{2028}\u{2029}\u{61c}\u{200b}\u{200d}\u{200e}\u{200f}\u{202a}\u{2066}\u{feff}\u{e0041}"
            .chars()
        {
            assert_eq!(one_line(&format!("resp_{c}1")), "resp_�1", "{c:?}");
        }
        assert_eq!(one_line("batch_ä1 – 批"), "batch_ä1 – 批");
    }

    #[test]
    fn free_text_keeps_its_words_and_what_joins_its_letters() {
        assert_eq!(sentence(" could not\r\n  read\u{2028}it\u{200f} "), "could not read it�");
        assert_eq!(sentence("می\u{200c}خواهم 👩\u{200d}🚀"), "می\u{200c}خواهم 👩\u{200d}🚀");
        assert_eq!(lines("one\u{2028}two\u{85}three"), "one\ntwo\nthree");
    }
}
