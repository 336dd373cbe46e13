//! `landfall dead`: what was given up, and what an operator does about it. Each redrive and discard leaves a record in
//! Redis (`{…}:records`).

mod letters;
mod list;
mod settle;
mod show;

use std::io::Write;

use crate::exit::{Answer, Failure};

const EXAMPLES: &str = "\
Examples:
  landfall dead list
  landfall dead show 1795470486874-0
  landfall dead redrive 1795470486874-0
  landfall dead redrive --family batch --reason gave_up --rate 5
  landfall dead discard --reason undecodable_entry --dry-run

CAUSE says where to look first: ours, openai, bad_data. A redriven dead letter
is a new entry in the queue, with all its attempts before it. What is redriven
or discarded is on record: redis-cli XREVRANGE '{landfall}:records' + - COUNT 20

To discard more than 100, type their number when asked. Without a terminal,
such as in a script, discard needs --yes.

Exit code: 0 done, 1 there is no such dead letter, or it was not confirmed,
2 wrong use, 3 Redis could not be reached or did not take it.";

/// Dead letters: events that were given up. List them, bring them back, or let them go
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Dead {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// The newest dead letters, with the reason
    List(list::List),
    /// All that is known about one dead letter
    Show(show::Show),
    Redrive(settle::Redrive),
    Discard(settle::Discard),
}

/// Does what one of the verbs says.
pub(crate) async fn run(args: &Dead, out: &mut dyn Write) -> Result<Answer, Failure> {
    match &args.verb {
        Verb::List(args) => list::run(args, out).await,
        Verb::Show(args) => show::run(args, out).await,
        Verb::Redrive(args) => settle::redrive(args, out).await,
        Verb::Discard(args) => settle::discard(args, out).await,
    }
}
