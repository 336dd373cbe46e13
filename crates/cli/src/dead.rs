//! `landfall dead`: inspects, redrives and discards dead letters. Each redrive and discard is recorded in Redis
//! (`{…}:records`).

mod actions;
mod filter;
mod list;
mod show;

use std::io::Write;

use crate::exit::{CliError, ExitStatus};

const EXAMPLES: &str = "\
Examples:
  landfall dead list
  landfall dead show 1795470486874-0
  landfall dead redrive 1795470486874-0
  landfall dead redrive --family batch --reason gave_up --rate 5
  landfall dead discard --reason undecodable_entry --dry-run

CAUSE says where to look first: ours, openai, bad_data. Redriving adds a new
entry to the queue and restarts its attempts. Redrives and discards are
recorded: redis-cli XREVRANGE '{landfall}:records' + - COUNT 20

To discard more than 100, type their number when prompted. Without a terminal,
such as in a script, discard requires --yes.

Exit codes: 0 success, 1 no such dead letter, or not confirmed, 2 usage error,
3 Redis could not be reached or refused the command.";

/// Dead letters, events that could not be processed: list, show, redrive, discard
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Dead {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the newest dead letters and their reasons
    List(list::List),
    /// Show one dead letter
    Show(show::Show),
    Redrive(actions::Redrive),
    Discard(actions::Discard),
}

/// Runs one of the verbs.
pub(crate) async fn run(args: &Dead, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    match &args.verb {
        Verb::List(args) => list::run(args, out).await,
        Verb::Show(args) => show::run(args, out).await,
        Verb::Redrive(args) => actions::redrive(args, out).await,
        Verb::Discard(args) => actions::discard(args, out).await,
    }
}
