//! `landfall completions`: what a shell needs to complete verbs, flags and their values.

use std::io::Write;

use clap_complete::Shell;

use crate::exit::{Answer, Failure};

const EXAMPLES: &str = "\
Examples:
  landfall completions bash > /etc/bash_completion.d/landfall
  landfall completions zsh  > \"${fpath[1]}/_landfall\"
  landfall completions fish > ~/.config/fish/completions/landfall.fish";

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// Which shell
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(
    args: &Completions,
    mut command: clap::Command,
    out: &mut dyn Write,
) -> Result<Answer, Failure> {
    // Not straight to stdout: a reader that has seen enough would be a panic.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "landfall", &mut script);
    out.write_all(&script)?;
    Ok(Answer::Yes)
}
