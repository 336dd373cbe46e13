//! `landfall config`: is `landfall.toml` right? Also reads it for the other verbs.

use std::io::Write;
use std::path::Path;

use error_text::chain;
use notifier::{Config, ConfigFile, ConfigFileError, Payload, SecretRef, Target};
use serde::Serialize;
use service::settings::{self, ConfigFileSettings};
use webhook::NotificationType;

use crate::exit::{Answer, Failure};
use crate::screen::{self, Text};
use crate::{json, printable};

const EXAMPLES: &str = "\
Examples:
  landfall config check --landfall-config landfall.toml
  landfall config check --json | jq -r .problem

The secrets that the file names must be there, as for the worker; none is shown.
Nothing is connected to: that does `landfall targets test NAME`.

Exit code: 0 the file can be used (there may be warnings), 1 it cannot, 2
LANDFALL_CONFIG is not set.";

/// Check landfall.toml, the file that says who is told of results
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct ConfigVerb {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Say whether the file can be used, or in which line it is wrong and what to write
    Check {
        /// One JSON object: ok, problem, targets, warnings
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: ConfigFileSettings,
    },
}

#[derive(Serialize)]
struct Verdict<'a> {
    ok: bool,
    problem: Option<String>,
    targets: Vec<&'a str>,
    warnings: &'a [String],
}

/// Checks the file.
pub(crate) fn run(args: &ConfigVerb, out: &mut dyn Write) -> Result<Answer, Failure> {
    let Action::Check { json, config } = &args.action;
    let read = load(config)?;
    let warnings = read.as_ref().map(Config::warnings).unwrap_or_default();
    if *json {
        let targets = read.iter().flat_map(|config| &config.targets).map(|target| target.name.as_str());
        let problem = read.as_ref().err().map(|error| chain(error));
        json::write_line(
            out,
            &Verdict { ok: read.is_ok(), problem, targets: targets.collect(), warnings: &warnings },
        )?;
        return Ok(if read.is_ok() { Answer::Yes } else { Answer::No });
    }
    match &read {
        Ok(config) if config.targets.is_empty() => {
            writeln!(out, "the file can be used; it names no target, so no notifications are sent")?;
        }
        Ok(config) => write!(out, "{}", table(&config.targets, screen::width()))?,
        Err(error) => {
            eprintln!("landfall: {}", printable::sentence(&chain(error)));
            return Ok(Answer::No);
        }
    }
    for warning in &warnings {
        eprintln!("landfall: warning: {}", printable::sentence(warning));
    }
    Ok(Answer::Yes)
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
            place(target).into(),
            events(target),
            payload.into(),
        ]
    };
    screen::table("TARGET | KIND | WHERE | EVENTS | PAYLOAD", targets.iter().map(row), width)
}

/// One a line; all of them are a word.
fn events(target: &Target) -> Text {
    let wanted =
        |kind: &&NotificationType| **kind != NotificationType::Test && target.filter.kinds().contains(*kind);
    let kinds: Vec<&str> = NotificationType::ALL.iter().filter(wanted).map(|kind| kind.as_str()).collect();
    if kinds.len() + 1 == NotificationType::ALL.len() { "all".into() } else { Text::lines(kinds) }
}

/// Where a target is, as far as that is no secret.
pub(crate) fn place(target: &Target) -> String {
    match target.destination.http() {
        Some(place) => place.shown(),
        None => "Redis".to_owned(),
    }
}

/// The file, or what is wrong with it.
fn load(settings: &ConfigFileSettings) -> Result<Result<Config, ConfigFileError>, Failure> {
    let Some(path) = &settings.landfall_config else {
        let text =
            "LANDFALL_CONFIG is not set: write the path of landfall.toml, which says who is told of results";
        return Err(Failure::WrongUse(text.to_owned()));
    };
    Ok(read(path))
}

/// What the file at a path says, with the secrets it names.
pub(crate) fn read(path: &Path) -> Result<Config, ConfigFileError> {
    ConfigFile::read(path).and_then(|file| file.parse(&read_secret))
}

/// The file for verbs that need it: one that is wrong is wrong use.
pub(crate) fn of(settings: &ConfigFileSettings) -> Result<Config, Failure> {
    load(settings)?.map_err(|error| Failure::WrongUse(chain(&error)))
}

fn read_secret(place: SecretRef<'_>) -> Result<secrecy::SecretString, String> {
    let read = match place {
        SecretRef::Variable(name) => settings::secret_in_variable(name),
        SecretRef::File(path) => settings::secret_in_file(path),
    };
    read.map_err(|error| error.to_string())
}
