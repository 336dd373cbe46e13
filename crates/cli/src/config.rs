//! `landfall config`: validates `landfall.toml`. Also reads it for the other verbs.

use std::io::Write;
use std::path::Path;

use error_text::chain;
use notifier::{Config, ConfigFile, ConfigFileError, Payload, SecretRef, Target};
use serde::Serialize;
use service::settings::{self, ConfigFileSettings};
use webhook::NotificationType;

use crate::exit::{CliError, ExitStatus};
use crate::output::{self, Text};
use crate::{json, printable};

const EXAMPLES: &str = "\
Examples:
  landfall config check --landfall-config landfall.toml
  landfall config check --json | jq -r .problem

The secrets that the file refers to must be available, as for the worker; they
are never printed. No connection is made; to test a target, run
`landfall targets test NAME`.

Exit codes: 0 the file is valid (there may be warnings), 1 it is invalid,
2 LANDFALL_CONFIG is not set.";

/// Validate landfall.toml, which configures the notification targets
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct ConfigVerb {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Validate the file, or print the line that is wrong and what to write instead
    Check {
        /// Print one JSON object: ok, problem, targets, warnings
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: ConfigFileSettings,
    },
}

#[derive(Serialize)]
struct CheckResult<'a> {
    ok: bool,
    problem: Option<String>,
    targets: Vec<&'a str>,
    warnings: &'a [String],
}

/// Validates the file and prints its targets.
pub(crate) fn run(args: &ConfigVerb, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let Action::Check { json, config } = &args.action;
    let read = load(config)?;
    let warnings = read.as_ref().map(Config::warnings).unwrap_or_default();
    if *json {
        let targets = read.iter().flat_map(|config| &config.targets).map(|target| target.name.as_str());
        let problem = read.as_ref().err().map(|error| chain(error));
        json::write_line(
            out,
            &CheckResult { ok: read.is_ok(), problem, targets: targets.collect(), warnings: &warnings },
        )?;
        return Ok(if read.is_ok() { ExitStatus::Success } else { ExitStatus::Negative });
    }
    match &read {
        Ok(config) if config.targets.is_empty() => {
            writeln!(out, "the file is valid; it defines no targets, so no notifications are sent")?;
        }
        Ok(config) => write!(out, "{}", table(&config.targets, output::width()))?,
        Err(error) => {
            eprintln!("landfall: {}", printable::sentence(&chain(error)));
            return Ok(ExitStatus::Negative);
        }
    }
    for warning in &warnings {
        eprintln!("landfall: warning: {}", printable::sentence(warning));
    }
    Ok(ExitStatus::Success)
}

fn table(targets: &[std::sync::Arc<Target>], width: u16) -> String {
    let row = |target: &std::sync::Arc<Target>| {
        let payload = match target.payload {
            Payload::Thin => "thin",
            Payload::Full => "full",
        };
        vec![
            Text::from(target.name.as_str()),
            target.destination.kind().into(),
            operations::targets::destination(target).into(),
            events(target),
            payload.into(),
        ]
    };
    output::table("TARGET | KIND | DESTINATION | EVENTS | PAYLOAD", targets.iter().map(row), width)
}

/// The event types of a target, one per line, or `all`.
fn events(target: &Target) -> Text {
    let wanted =
        |kind: &&NotificationType| **kind != NotificationType::Test && target.filter.kinds().contains(*kind);
    let kinds: Vec<&str> = NotificationType::ALL.iter().filter(wanted).map(|kind| kind.as_str()).collect();
    if kinds.len() + 1 == NotificationType::ALL.len() { "all".into() } else { Text::lines(kinds) }
}

/// The parsed file, or its error. Fails when LANDFALL_CONFIG is not set.
fn load(settings: &ConfigFileSettings) -> Result<Result<Config, ConfigFileError>, CliError> {
    let Some(path) = &settings.landfall_config else {
        let text = "LANDFALL_CONFIG is not set: set it to the path of landfall.toml, which defines the notification targets";
        return Err(CliError::Usage(text.to_owned()));
    };
    Ok(read(path))
}

/// Reads the file at a path, and the secrets that it refers to.
pub(crate) fn read(path: &Path) -> Result<Config, ConfigFileError> {
    ConfigFile::read(path).and_then(|file| file.parse(&read_secret))
}

/// The configuration, for verbs that need it. An invalid file is a usage error.
pub(crate) fn of(settings: &ConfigFileSettings) -> Result<Config, CliError> {
    load(settings)?.map_err(|error| CliError::Usage(chain(&error)))
}

fn read_secret(secret: SecretRef<'_>) -> Result<secrecy::SecretString, String> {
    let read = match secret {
        SecretRef::Variable(name) => settings::secret_in_variable(name),
        SecretRef::File(path) => settings::secret_in_file(path),
    };
    read.map_err(|error| error.to_string())
}
