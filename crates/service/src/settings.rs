//! Reads settings: environment first, every one also a flag. The only place that looks at the environment. Blanks and
//! newlines around a variable's value are dropped, and an empty variable counts as not set; nonsense is refused with the
//! setting's name and what to write, exit 2.

mod bucket;
mod config_file;
mod openai;
mod redis;
mod refusal;
mod results;
mod secret;
mod shared;
mod values;

use std::ffi::{OsStr, OsString};

use clap::error::ErrorKind;

pub use bucket::BucketSettings;
pub use config_file::{ConfigFileSettings, NamedSecretError, secret_in_file, secret_in_variable};
pub use openai::{ApiKeyError, Fetch, OpenAiSettings, check_api_key};
pub use redis::RedisSettings;
pub use refusal::{fail, refuse};
pub use results::ResultsSettings;
pub use secret::{SettingError, WebhookSecretSettings};
pub use shared::{LogFormat, LogSettings, StoreSettings};
pub use values::{ValueError, http_url, key_prefix, seconds, size_bytes, trimmed, yes_or_no};

/// The settings of this process. Prints help, or says what is wrong and exits with 2.
pub fn parse<T: clap::Parser>() -> T {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let environment = |name: &OsStr| std::env::var_os(name);
    refusal::Style::choose(&T::command(), &arguments, &environment);
    match try_parse(arguments, environment) {
        Ok(settings) => settings,
        Err(error) => refusal::end(&error),
    }
}

/// The settings from any arguments (the first is the program's name) and any environment.
///
/// # Errors
/// What [`parse`] would print: help, or a refusal that names the setting.
pub fn try_parse<T: clap::Parser>(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl Fn(&OsStr) -> Option<OsString>,
) -> Result<T, clap::Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut matches = match with_environment(T::command(), &environment).try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(error) if is_help(&error) => return Err(help::<T>(&arguments, error)),
        Err(error) => return Err(refusal::explain(&error, T::command(), &arguments)),
    };
    T::from_arg_matches_mut(&mut matches)
}

/// Gives every setting the value its variable has. As a default, so that a flag wins; clap's own binding would take an
/// empty variable for a value.
fn with_environment(
    command: clap::Command,
    environment: &impl Fn(&OsStr) -> Option<OsString>,
) -> clap::Command {
    let command = command.mut_args(|argument| {
        let value = argument.get_env().and_then(environment).map(trimmed_value);
        let argument = argument.env(None);
        match value.filter(|value| !value.is_empty()) {
            Some(value) => argument.required(false).default_value(clap::builder::OsStr::from(value)),
            None => argument,
        }
    });
    command.mut_subcommands(|command| with_environment(command, environment))
}

/// A value that is no UTF-8 stays as it is.
fn trimmed_value(value: OsString) -> OsString {
    value.to_str().map(|text| OsString::from(trimmed(text))).unwrap_or(value)
}

fn is_help(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::DisplayVersion
    )
}

/// Help of the command as it was declared, so that it shows the names of the variables and the true defaults. What the
/// variables hold is not shown: it may be secret.
fn help<T: clap::Parser>(arguments: &[OsString], otherwise: clap::Error) -> clap::Error {
    without_env_values(T::command()).try_get_matches_from(arguments).err().unwrap_or(otherwise)
}

fn without_env_values(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|argument| argument.hide_env_values(true));
    command.mut_subcommands(without_env_values)
}
