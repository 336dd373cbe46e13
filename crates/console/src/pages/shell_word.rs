//! Ids within the commands that pages show: they may be copied into a shell, whatever they contain.

/// The id as one word of a shell.
pub(super) fn shell_word(id: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_.:/".contains(char);
    if !id.is_empty() && !id.starts_with('-') && id.chars().all(is_plain) {
        return id.to_owned();
    }
    let one_line: String = id.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect();
    format!("'{}'", one_line.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_is_more_than_one_word() {
        for (id, word) in [
            ("resp_1", "resp_1"),
            ("ft:gpt-4.1:org::x", "ft:gpt-4.1:org::x"),
            ("a; rm -rf ~", "'a; rm -rf ~'"),
            ("a'b\n", r"'a'\''b�'"),
            ("--all", "'--all'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(id), word);
        }
    }
}
