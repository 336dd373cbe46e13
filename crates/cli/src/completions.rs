//! `landfall completions`: shell completion scripts.

use std::any::TypeId;
use std::io::Write;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap_complete::Shell;
use webhook::{ClosedSet, EventState, Family, NotificationState, NotificationType, Reason};

use crate::exit::{CliError, ExitStatus};

const EXAMPLES: &str = "\
Examples:
  landfall completions bash > /etc/bash_completion.d/landfall
  landfall completions zsh  > \"${fpath[1]}/_landfall\"
  landfall completions fish > ~/.config/fish/completions/landfall.fish";

/// Print a shell completion script
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// Shell to generate the script for
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(
    args: &Completions,
    command: clap::Command,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    // Buffered, because clap_complete panics when the reader closes stdout.
    let mut script = Vec::new();
    let mut command = with_values(command);
    clap_complete::generate(args.shell, &mut command, "landfall", &mut script);
    out.write_all(&script)?;
    Ok(ExitStatus::Success)
}

/// Adds the values of all arguments that are members of a closed set. Their parsers only know how to read one.
fn with_values(command: clap::Command) -> clap::Command {
    command.mut_args(with_values_of_set).mut_subcommands(with_values)
}

fn with_values_of_set(argument: clap::Arg) -> clap::Arg {
    let sets = [
        (TypeId::of::<Family>(), values(Family::ALL)),
        (TypeId::of::<EventState>(), values(EventState::ALL)),
        (TypeId::of::<NotificationState>(), values(NotificationState::ALL)),
        (TypeId::of::<NotificationType>(), values(NotificationType::ALL)),
        (TypeId::of::<Reason>(), values(Reason::ALL)),
    ];
    let set = sets.into_iter().find(|(set, _)| argument.get_value_parser().type_id() == *set);
    match set {
        Some((_, values)) => argument.value_parser(values),
        None => argument,
    }
}

fn values<T: ClosedSet>(all: &[T]) -> PossibleValuesParser {
    all.iter().map(|member| PossibleValue::new(member.as_str())).collect::<Vec<_>>().into()
}
