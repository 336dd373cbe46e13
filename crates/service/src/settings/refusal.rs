//! Reports that a program cannot start: one line with the variable, the flag, the problem and the fix. Text, or JSON if
//! the log is JSON. Values that may be secret are never printed.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::ValueEnum as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use error_text::chain;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use super::LogFormat;
use crate::log_output;

/// The exit code for usage errors.
const USAGE_ERROR: i32 = 2;

static STYLE: OnceLock<Style> = OnceLock::new();

/// The format of messages outside the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// A command for interactive use: the errors of clap are unchanged.
    Command,
    /// A program with a readable log.
    Text,
    /// A program with a JSON log.
    Json,
}

impl Style {
    /// Reads only `LOG_FORMAT`, because other settings may be invalid.
    pub(super) fn choose(
        command: &clap::Command,
        arguments: &[OsString],
        environment: &impl Fn(&OsStr) -> Option<OsString>,
    ) {
        STYLE.set(Self::of(command, arguments, environment)).ok();
    }

    fn of(
        command: &clap::Command,
        arguments: &[OsString],
        environment: &impl Fn(&OsStr) -> Option<OsString>,
    ) -> Self {
        if !command.get_arguments().any(|argument| argument.get_id() == "log_format") {
            return Self::Command;
        }
        let flag = arguments.iter().enumerate().find_map(|(at, argument)| {
            let argument = argument.to_str()?;
            let value = argument.strip_prefix("--log-format=");
            value
                .map(OsString::from)
                .or_else(|| arguments.get(at + 1).filter(|_| argument == "--log-format").cloned())
        });
        let text = flag.or_else(|| environment(OsStr::new("LOG_FORMAT"))).unwrap_or_default();
        let format = LogFormat::from_str(text.to_string_lossy().trim(), false);
        if format.unwrap_or(LogFormat::Auto).is_json() { Self::Json } else { Self::Text }
    }

    fn line(self, message: &str, error: &str) -> String {
        let error =
            error.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
        match self {
            Self::Command | Self::Text => format!("error: {error}\n"),
            Self::Json => {
                let mut timestamp = String::new();
                SystemTime.format_time(&mut Writer::new(&mut timestamp)).ok();
                let target = module_path!();
                let line = serde_json::json!({
                    "timestamp": timestamp, "level": "ERROR", "message": message, "error": error, "target": target
                });
                format!("{line}\n")
            }
        }
    }
}

/// Prints an error with its chain of causes to stderr and exits with 2, for usage errors.
pub fn refuse(error: &dyn Error) -> ! {
    report("cannot start", &chain(error));
    std::process::exit(USAGE_ERROR)
}

/// Prints an error that no setting can fix, and returns the exit code for `main`.
pub fn fail(error: &dyn Error) -> ExitCode {
    report("terminated by an error", &chain(error));
    ExitCode::FAILURE
}

/// Prints the output of clap: help and versions to stdout, errors in the format of the program.
pub(super) fn end(error: &clap::Error) -> ! {
    let style = STYLE.get().copied().unwrap_or(Style::Command);
    if style == Style::Command || !error.use_stderr() {
        error.exit();
    }
    report("cannot start", strip_label(&error.to_string()));
    std::process::exit(error.exit_code())
}

fn report(message: &str, error: &str) {
    log_output::print(STYLE.get().copied().unwrap_or(Style::Command).line(message, error));
}

/// Rewords errors of clap about a setting. Other errors are unchanged.
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
        None => clap::Error::raw(error.kind(), strip_label(&error.to_string()).to_owned()),
    }
}

fn missing(error: &clap::Error, command: &clap::Command) -> Option<String> {
    let ContextValue::Strings(names) = error.get(ContextKind::InvalidArg)? else {
        return None;
    };
    let argument = find(command, names.first()?)?;
    // Arguments without a variable are not settings: the error of clap shows the usage.
    argument.get_env()?;
    Some(format!("{} is not set{}\n", name(argument), hint(argument)))
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
        // Some reasons already contain the value.
        if !reason.as_ref().is_some_and(|reason| reason.contains(&value)) {
            let _ = write!(text, " cannot be {value}");
        }
    } else {
        text.push_str(" is invalid");
    }
    if let Some(reason) = reason {
        let _ = write!(text, ": {reason}");
    }
    if let Some(ContextValue::Strings(valid)) = error.get(ContextKind::ValidValue) {
        let _ = write!(text, ": use one of {}", valid.join(", "));
    }
    Some(format!("{text}{}\n", hint(argument)))
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

/// The help of the setting and its default, in parentheses, as a hint.
fn hint(argument: &clap::Arg) -> String {
    let help = argument.get_help().map(ToString::to_string);
    let default = argument.get_default_values().first().filter(|_| !argument.is_hide_default_value_set());
    let default = default.map(|default| format!("default {}", default.to_string_lossy()));
    let notes: Vec<String> = help.into_iter().chain(default).collect();
    if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) }
}

/// The subcommand in the arguments: several subcommands have arguments of the same name.
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

/// clap adds `error: ` again when printing.
fn strip_label(text: &str) -> &str {
    text.strip_prefix("error: ").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::settings::LogSettings;

    #[derive(clap::Parser)]
    struct WithLog {
        #[command(flatten)]
        _log: LogSettings,
    }

    #[derive(clap::Parser)]
    struct Verb {}

    fn style(arguments: &[&str], log_format: Option<&str>) -> Style {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let environment = |_: &OsStr| log_format.map(OsString::from);
        Style::of(&WithLog::command(), &arguments, &environment)
    }

    #[test]
    fn errors_use_the_format_of_the_log_even_with_other_invalid_settings() {
        assert_eq!(style(&["x"], Some("json")), Style::Json);
        assert_eq!(style(&["x"], Some(" pretty\n")), Style::Text);
        assert_eq!(style(&["x", "--nonsense", "--log-format", "pretty"], Some("json")), Style::Text);
        assert_eq!(style(&["x", "--log-format=json"], Some("pretty")), Style::Json);
        assert_eq!(style(&["x"], Some("xml")), style(&["x"], None));
        assert_eq!(Style::of(&Verb::command(), &[], &|_| None), Style::Command);
    }

    #[test]
    fn an_error_is_one_line_in_every_style() {
        let error = "unexpected argument '--x' found\n\n  tip: a\n\nUsage: worker [OPTIONS]\n";
        let text = Style::Text.line("cannot start", error);
        assert_eq!(text, "error: unexpected argument '--x' found; tip: a; Usage: worker [OPTIONS]\n");
        let json = Style::Json.line("cannot start", error);
        assert_eq!(json.lines().count(), 1);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&json["level"], &json["message"]), (&"ERROR".into(), &"cannot start".into()));
        assert!(json["error"].as_str().unwrap().starts_with("unexpected argument"), "{json}");
    }
}
