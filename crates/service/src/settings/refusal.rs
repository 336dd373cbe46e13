//! How a wrong setting is refused: one message that names the variable, the flag, what is wrong and what to write.
//! Values that may hold a secret are never repeated.

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::log_output;
use crate::telemetry::chain;

/// Prints a refusal with its whole chain of causes on stderr and exits with 2: wrong use.
pub fn refuse(error: &dyn Error) -> ! {
    log_output::flush();
    clap::Error::raw(ErrorKind::ValueValidation, format!("{}\n", chain(error))).exit()
}

/// Puts clap's error about one setting in our words. Errors about anything else stay as they are.
pub(super) fn explain(
    error: &clap::Error,
    mut command: clap::Command,
    arguments: &[OsString],
) -> clap::Error {
    command.build();
    let verb = verb(&command, arguments);
    let text = match error.kind() {
        ErrorKind::MissingRequiredArgument => missing(error, verb),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => wrong_value(error, verb),
        _ => None,
    };
    match text {
        Some(text) => clap::Error::raw(error.kind(), text),
        None => clap::Error::raw(error.kind(), strip_label(&error.to_string())),
    }
}

fn missing(error: &clap::Error, command: &clap::Command) -> Option<String> {
    let ContextValue::Strings(names) = error.get(ContextKind::InvalidArg)? else {
        return None;
    };
    let argument = find(command, names.first()?)?;
    // What is no setting has no variable to name: clap's own error shows the usage.
    argument.get_env()?;
    Some(format!("{} is not set\n{}", name(argument), what_to_write(argument)))
}

fn wrong_value(error: &clap::Error, command: &clap::Command) -> Option<String> {
    let ContextValue::String(argument) = error.get(ContextKind::InvalidArg)? else {
        return None;
    };
    let argument = find(command, argument)?;
    let mut text = name(argument);
    let reason = error.source().map(chain);
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue)
        && !argument.is_hide_env_values_set()
    {
        let value = format!("{value:?}");
        // Some reasons repeat the value themselves.
        if !reason.as_ref().is_some_and(|reason| reason.contains(&value)) {
            let _ = write!(text, " cannot be {value}");
        }
    } else {
        text.push_str(" is wrong");
    }
    if let Some(reason) = reason {
        let _ = write!(text, ": {reason}");
    }
    if let Some(ContextValue::Strings(valid)) = error.get(ContextKind::ValidValue) {
        let _ = write!(text, ": write one of {}", valid.join(", "));
    }
    Some(format!("{text}\n{}", what_to_write(argument)))
}

/// `MAX_BODY_BYTES (--max-body-bytes)`
fn name(argument: &clap::Arg) -> String {
    let flag = argument.get_long().map(|long| format!("--{long}"));
    match (argument.get_env(), flag) {
        (Some(variable), Some(flag)) => format!("{} ({flag})", variable.to_string_lossy()),
        (None, Some(flag)) => flag,
        _ => argument.to_string(),
    }
}

/// The setting's own help with its default: it says what to write.
fn what_to_write(argument: &clap::Arg) -> String {
    let mut text = String::new();
    if let Some(help) = argument.get_help() {
        let _ = write!(text, "\n  {help}");
    }
    if let Some(default) = argument.get_default_values().first()
        && !argument.is_hide_default_value_set()
    {
        let _ = write!(text, " [default: {}]", default.to_string_lossy());
    }
    text.push('\n');
    text
}

/// The verb that the command line names: several verbs have arguments of one name.
fn verb<'c>(command: &'c clap::Command, arguments: &[OsString]) -> &'c clap::Command {
    arguments
        .iter()
        .skip(1)
        .filter_map(|argument| argument.to_str())
        .fold(command, |verb, argument| verb.find_subcommand(argument).unwrap_or(verb))
}

fn find<'c>(verb: &'c clap::Command, shown: &str) -> Option<&'c clap::Arg> {
    verb.get_arguments().find(|argument| argument.to_string() == shown)
}

/// clap adds `error: ` again when it prints.
fn strip_label(text: &str) -> String {
    text.strip_prefix("error: ").unwrap_or(text).to_owned()
}
