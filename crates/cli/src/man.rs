//! `landfall man`: prints the manual page of the command or of a verb.

use std::io::Write;

use crate::exit::{CliError, ExitStatus};

const EXAMPLES: &str = "\
Examples:
  landfall man | man -l -
  landfall man fetch > /usr/local/share/man/man1/landfall-fetch.1";

/// Print the manual page of the command or of a verb
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Man {
    /// Verb, such as fetch or doctor
    verb: Option<String>,
}

/// Prints the page in roff format.
pub(crate) fn run(
    args: &Man,
    mut command: clap::Command,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    // Sets the full names of the verbs and the shared flags.
    command.build();
    let page = match &args.verb {
        None => command,
        Some(verb) => {
            let unknown = || CliError::Usage(format!("unknown verb {verb:?}; see `landfall help`"));
            let found = command.find_subcommand(verb).ok_or_else(unknown)?;
            let name = found.get_display_name().unwrap_or(verb).to_owned();
            found.clone().name(name)
        }
    };
    clap_mangen::Man::new(page).render(&mut &mut *out)?;
    Ok(ExitStatus::Success)
}
