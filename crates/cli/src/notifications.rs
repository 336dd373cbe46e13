//! `landfall notifications`: lists, shows and retries notifications to the user's applications.

mod list;
mod retry;
mod show;

use std::io::Write;

use crate::exit::{CliError, ExitStatus};

const EXAMPLES: &str = "\
Examples:
  landfall notifications list --state given_up
  landfall notifications list --target app --type batch.stored --since 1h
  landfall notifications show ntf_0a1b2c             its attempts and size
  landfall notifications retry ntf_0a1b2c            send again, in any state
  landfall notifications retry --target app          all in state given_up

Every attempt sends the same ID and the same bytes. For the state of the
targets, see `landfall targets list`.

Exit codes: 0 success, 1 no such notification, 2 usage error, 3 the database
could not be reached.";

/// Notifications to your applications: list, show, retry
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Notifications {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the newest notifications and their states
    List(list::List),
    /// Show one notification with its attempts
    Show(show::Show),
    /// Send notifications again, with a new retry schedule
    Retry(retry::Retry),
}

/// Runs one of the actions.
pub(crate) async fn run(args: &Notifications, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    match &args.action {
        Action::List(args) => list::run(args, out).await,
        Action::Show(args) => show::run(args, out).await,
        Action::Retry(args) => retry::run(args, out).await,
    }
}
