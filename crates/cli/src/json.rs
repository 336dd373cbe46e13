//! `--json`: one value per line. Stored JSON is embedded unchanged except for its line breaks.

use std::io::{self, Write};

use serde::Serialize;

/// Writes a value as one line of JSON.
pub(crate) fn write_line(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string(value).map_err(io::Error::other)?;
    // JSON strings contain only escaped line breaks, so the others separate tokens.
    writeln!(out, "{}", text.replace(['\n', '\r'], " "))
}

/// Writes each value as one line.
pub(crate) fn write_lines<V: Serialize>(
    out: &mut dyn Write,
    values: impl IntoIterator<Item = V>,
) -> io::Result<()> {
    values.into_iter().try_for_each(|value| write_line(out, &value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_that_spans_lines_becomes_one_line_with_the_same_meaning() {
        let sent = "{\n  \"a\": \"x\\ny\",\r\n  \"b\": [1,\n 2]\n}";
        let raw: &serde_json::value::RawValue = serde_json::from_str(sent).unwrap();
        let mut line = Vec::new();
        write_line(&mut line, &raw).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!((line.lines().count(), line.ends_with('\n')), (1, true));
        let same: serde_json::Value = serde_json::from_str(sent).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), same);
    }
}
