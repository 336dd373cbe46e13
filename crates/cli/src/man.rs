//! `landfall man`: the manual page of the command, or of one verb.

use std::io::Write;

use crate::exit::{Answer, Failure};

const EXAMPLES: &str = "\
Examples:
  landfall man | man -l -
  landfall man fetch > /usr/local/share/man/man1/landfall-fetch.1";

/// Print the manual page, of the command or of one verb
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Man {
    /// Such as fetch or doctor
    verb: Option<String>,
}

/// Prints the page, as roff.
pub(crate) fn run(args: &Man, mut command: clap::Command, out: &mut dyn Write) -> Result<Answer, Failure> {
    // Gives the verbs their full names and the flags they share.
    command.build();
    let page = match &args.verb {
        None => command,
        Some(verb) => {
            let unknown = || Failure::WrongUse(format!("there is no verb {verb:?}: see `landfall help`"));
            let found = command.find_subcommand(verb).ok_or_else(unknown)?;
            let name = found.get_display_name().unwrap_or(verb).to_owned();
            found.clone().name(name)
        }
    };
    clap_mangen::Man::new(page).render(&mut &mut *out)?;
    Ok(Answer::Yes)
}
