//! The help of verbs that have verbs of their own: each of those shows the examples that its verb has for it.

use clap::Command;

/// Adds examples to the verbs below this one.
pub(crate) fn with_examples(verb: Command) -> Command {
    let name = verb.get_name().to_owned();
    let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
    verb.mut_subcommands(|action| {
        let command = format!("landfall {name} {}", action.get_name());
        match (action.get_after_help(), examples(&help, &command)) {
            (None, Some(examples)) => action.after_help(examples),
            _ => action,
        }
    })
}

/// The lines with this command, and the exit codes.
fn examples(help: &str, command: &str) -> Option<String> {
    let is_of_command = |line: &&str| {
        let is_longer = |rest: &str| rest.starts_with(|c: char| c.is_alphanumeric() || c == '-');
        line.starts_with("  ") && line.split_once(command).is_some_and(|(_, rest)| !is_longer(rest))
    };
    let lines: Vec<&str> = help.lines().filter(is_of_command).collect();
    let exit_codes = help.split("\n\n").find(|paragraph| paragraph.starts_with("Exit codes:"));
    let examples = (!lines.is_empty()).then(|| format!("Examples:\n{}", lines.join("\n")))?;
    Some([Some(examples.as_str()), exit_codes].into_iter().flatten().collect::<Vec<_>>().join("\n\n"))
}
