//! `landfall completions`: shell completion scripts.

use std::io::Write;

use clap_complete::Shell;

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
    mut command: clap::Command,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    // Buffered, because clap_complete panics when the reader closes stdout.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "landfall", &mut script);
    out.write_all(&script)?;
    Ok(ExitStatus::Success)
}
