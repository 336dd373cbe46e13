//! Layout of text output: tables and wrapped text that fit the terminal, sanitized by `printable.rs`.

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
pub(crate) use operations::quantity::{count, counted};

use crate::printable;

/// Width of output to a file or a pipe, and minimum width.
const WIDTH_DEFAULT: u16 = 80;
const WIDTH_MIN: u16 = 40;

/// Width of a first column such as a time or a state, with the gap after it.
pub(crate) const INDENT: usize = 10;

const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Width of the terminal, or 80.
pub(crate) fn width() -> u16 {
    Table::new().width().unwrap_or(WIDTH_DEFAULT).max(WIDTH_MIN)
}

/// The text of a cell: one line, unless it is built from several.
#[derive(Debug, Clone)]
pub(crate) struct Text(String);

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(printable::one_line(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl Text {
    /// Prose on one line.
    pub(crate) fn sentence(text: &str) -> Self {
        Self(printable::sentence(text))
    }

    /// Several lines.
    pub(crate) fn lines(lines: impl IntoIterator<Item = impl Into<Self>>) -> Self {
        let lines: Vec<String> = lines.into_iter().map(|line| line.into().0).collect();
        Self(lines.join("\n"))
    }
}

/// A table at most `width` columns wide, whose cells are wrapped to fit. Column heads are separated by ` | `; a head that
/// ends in `>` right-aligns its column.
pub(crate) fn table<C: Into<Text>>(
    heads: &str,
    rows: impl IntoIterator<Item = Vec<C>>,
    width: u16,
) -> String {
    let heads: Vec<&str> = heads.split(" | ").collect();
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    // `trimmed` removes the padding of the last column.
    table.set_width(width.saturating_add(1));
    table.set_header(heads.iter().map(|head| head.trim_end_matches('>')));
    for row in rows {
        table.add_row(row.into_iter().map(|text| Cell::new_owned(text.into().0)));
    }
    for (column, head) in table.column_iter_mut().zip(heads) {
        // comfy-table adds one space between columns.
        column.set_padding((0, 1));
        if head.ends_with('>') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    trimmed(&table, width)
}

/// One line per name and value, with wrapped values aligned. Empty values are left out.
pub(crate) fn fields(fields: &[(&str, String)], width: u16) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width);
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        table.add_row([Cell::new(*name), Cell::new_owned(printable::one_line(value))]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((2, 0));
    }
    trimmed(&table, width)
}

/// Text wrapped at word boundaries, each line indented by two spaces.
pub(crate) fn wrapped(text: &str, width: u16) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width);
    table.add_row([Cell::new_owned(printable::lines(text))]);
    for column in table.column_iter_mut() {
        column.set_padding((2, 0));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// The lines of a table without trailing spaces, and with the header separator shortened to `width`.
fn trimmed(table: &Table, width: u16) -> String {
    let mut text = String::new();
    for line in table.lines() {
        let line = line.trim_end();
        if line.chars().all(|c| c == '─') {
            text.extend(line.chars().take(usize::from(width)));
        } else {
            text.push_str(line);
        }
        text.push('\n');
    }
    text
}

/// A line that ends with an id. An id that does not fit is moved to the next line, so that it is never truncated.
pub(crate) fn line_with_id(head: &str, id: &str, width: u16) -> String {
    let (head, id) = (printable::one_line(head), printable::one_line(id));
    if head.chars().count() + 2 + id.chars().count() <= usize::from(width) {
        format!("{head}  {id}")
    } else {
        format!("{}\n{}", head.trim_end(), indented(&id))
    }
}

/// A continuation line, indented to the second column.
pub(crate) fn indented(text: &str) -> String {
    format!("{:INDENT$}{}", "", printable::one_line(text))
}

/// A continuation line with prose, truncated to the width.
pub(crate) fn indented_sentence(text: &str, width: u16) -> String {
    let text = shortened(&printable::sentence(text), usize::from(width) - INDENT);
    format!("{:INDENT$}{text}", "")
}

/// At most `chars_max` characters; truncated text ends with an ellipsis.
pub(crate) fn shortened(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_table_keeps_its_width_for_any_cells(
            cells in prop::collection::vec("[ -~äß…]{0,120}", 6),
            width in 40_u16..160,
        ) {
            let rows = cells.chunks(3).map(<[String]>::to_vec);
            let text = table("A | B> | C", rows, width);
            prop_assert!(widest(&text) <= usize::from(width), "{}", text);
        }
    }

    fn widest(text: &str) -> usize {
        text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
    }

    #[test]
    fn a_table_is_never_wider_than_requested() {
        let rows = vec![
            vec!["word ".repeat(40), "1234567".to_owned(), "x".repeat(200)],
            vec![String::new(), "0".to_owned(), "short".to_owned()],
        ];
        for width in [40, 80, 200] {
            let text = table("A | N> | B", rows.clone(), width);
            assert!(widest(&text) <= usize::from(width), "{width}:\n{text}");
        }
    }

    #[test]
    fn values_are_wrapped_beside_their_names() {
        let text = fields(
            &[("status", "completed".to_owned()), ("error", String::new()), ("note", "word ".repeat(40))],
            60,
        );
        assert!(text.starts_with("  status  completed\n  note    word word"), "{text}");
        assert!(widest(&text) <= 60, "{text}");
    }

    #[test]
    fn an_external_cell_is_one_line_and_one_of_ours_may_have_several() {
        let rows = vec![
            vec![Text::from("1"), Text::from("resp_1\nstored")],
            vec!["2".into(), Text::lines(["type", "an\u{2028}id"])],
        ];
        let text = table("A | B", rows, 80);
        assert!(text.ends_with("\n1  resp_1�stored\n2  type\n   an�id\n"), "{text}");
    }

    #[test]
    fn text_is_wrapped_and_shortened() {
        assert!(wrapped(&"word ".repeat(100), 80).iter().all(|line| line.chars().count() <= 80));
        assert_eq!(shortened("äöüß", 3), "äö…");
        assert_eq!(shortened("äöü", 3), "äöü");
    }
}
