//! Reads settings from environment variables and flags. No other module reads the environment. White space around
//! values is trimmed, and an empty variable counts as not set; an invalid value is rejected with the name of the
//! setting and a hint, and the exit code is 2.

mod bucket;
mod config_file;
mod console_passwords;
mod openai;
mod redis;
mod refusal;
mod results;
mod secret;
mod shared;
mod shown;
mod values;

use std::ffi::{OsStr, OsString};

use clap::error::ErrorKind;

pub use bucket::BucketSettings;
pub use config_file::{ConfigFileSettings, NamedSecretError, secret_in_file, secret_in_variable};
pub use console_passwords::ConsolePasswordSettings;
pub use openai::{ApiKeyError, Fetch, OpenAiSettings, check_api_key};
pub use redis::RedisSettings;
pub use refusal::{fail, refuse};
pub use results::{ResultsSecretSettings, ResultsSettings};
pub use secret::{SettingError, WebhookSecretSettings};
pub use shared::{LogFormat, LogSettings, StoreSettings};
pub use shown::{ShownSetting, shown};
pub use values::{ValueError, http_url, key_prefix, seconds, size_bytes, trimmed, yes_or_no};

/// The settings of this process. Prints the help, or prints an error and exits with 2.
pub fn parse<T: clap::Parser>() -> T {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let environment = |name: &OsStr| std::env::var_os(name);
    refusal::Style::choose(&T::command(), &arguments, &environment);
    match try_parse(arguments, environment) {
        Ok(settings) => settings,
        Err(error) => refusal::end(&error),
    }
}

/// The settings from the given arguments (the first is the program name) and environment.
///
/// # Errors
/// The text that [`parse`] would print: the help, or an error that names the setting.
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

/// Sets the default of each argument to the value of its variable, so that flags take precedence. The binding of clap
/// itself would treat an empty variable as a value.
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

/// Values that are not UTF-8 are unchanged.
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

/// The help of the command as declared, with the names of the variables and the real defaults. The values of the
/// variables are not shown, because they may be secret.
fn help<T: clap::Parser>(arguments: &[OsString], otherwise: clap::Error) -> clap::Error {
    without_env_values(T::command()).try_get_matches_from(arguments).err().unwrap_or(otherwise)
}

fn without_env_values(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|argument| argument.hide_env_values(true));
    command.mut_subcommands(without_env_values)
}
