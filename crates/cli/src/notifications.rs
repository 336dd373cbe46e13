//! `landfall notifications`: what the user's own systems are told, how that went, and to tell it again.

mod list;
mod retry;
mod show;

use std::io::Write;

use crate::exit::{Answer, Failure};

const EXAMPLES: &str = "\
Examples:
  landfall notifications list --state given_up
  landfall notifications list --target app --type batch.stored --since 1h
  landfall notifications show ntf_0a1b2c             its attempts, its body
  landfall notifications retry ntf_0a1b2c            sent again, in any state
  landfall notifications retry --target app          all that were given up

A notification goes out with the same id and the same bytes on every attempt.
How the targets are: `landfall targets list`.

Exit code: 0 done, 1 there is no such notification, 2 wrong use, 3 the database
was not reached.";

/// What your own systems are told of results: list, show, retry
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Notifications {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// The newest notifications, and how far they have come
    List(list::List),
    /// All that is known of one notification, with each attempt
    Show(show::Show),
    /// Send notifications again: their schedule begins anew
    Retry(retry::Retry),
}

/// Does what is asked.
pub(crate) async fn run(args: &Notifications, out: &mut dyn Write) -> Result<Answer, Failure> {
    match &args.action {
        Action::List(args) => list::run(args, out).await,
        Action::Show(args) => show::run(args, out).await,
        Action::Retry(args) => retry::run(args, out).await,
    }
}
