//! `landfall targets`: lists, tests, pauses and resumes notification targets.

mod list;
mod names;
mod test;

use std::io::Write;

use chrono::Utc;
use serde::Serialize;
use service::settings::{ConfigFileSettings, StoreSettings};
use store::TargetState;
use webhook::MaybeKnown;

use crate::exit::{CliError, ExitStatus};

use crate::{config, json, store_client};
pub(crate) use names::no_such_target;

const EXAMPLES: &str = "\
Examples:
  landfall targets list                states and numbers of notifications
  landfall targets test app            send one test notification now
  landfall targets pause app           keep its notifications until resumed
  landfall targets resume app          also after a 410 Gone response

Targets are defined in landfall.toml (LANDFALL_CONFIG). A pause takes effect in
all workers within a second; requests in progress are completed.

Exit codes: 0 success, 1 no such target, or it rejected the test, 2 usage error,
3 the database, Redis or the target could not be reached.";

/// Notification targets: list, test, pause, resume
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Targets {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the targets with their states and counts of notifications
    List(list::List),
    /// Send one signed test notification (type landfall.test) directly to a target
    Test(test::Test),
    /// Stop sending to a target; its notifications are kept
    Pause(Change),
    /// Resume sending to a target, oldest notification first
    Resume(Change),
}

/// The target to pause or resume.
#[derive(Debug, clap::Args)]
pub(crate) struct Change {
    /// Name of the target in landfall.toml
    name: String,
    /// Print one JSON object: target, before, state
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFileSettings,
    #[command(flatten)]
    store: StoreSettings,
}

#[derive(Serialize)]
struct Changed<'a> {
    target: &'a str,
    before: MaybeKnown<TargetState>,
    state: TargetState,
}

/// Runs one of the actions.
pub(crate) async fn run(args: &Targets, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    match &args.action {
        Action::List(args) => list::run(args, out).await,
        Action::Test(args) => test::run(args, out).await,
        Action::Pause(args) => change(args, TargetState::Paused, out).await,
        Action::Resume(args) => change(args, TargetState::Active, out).await,
    }
}

async fn change(args: &Change, state: TargetState, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let config = config::of(&args.config)?;
    let store = store_client::open(&args.store).await?;
    let is_named = config.targets.iter().any(|target| target.name == args.name);
    // A target that was removed from the file may still have pending notifications.
    let is_known = is_named || operations::targets::known(&store).await?.contains(&args.name);
    if !is_known {
        return Ok(no_such_target(&args.name));
    }
    let before = store.set_target_state(&args.name, state, Utc::now()).await?.state;
    if args.json {
        json::write_line(out, &Changed { target: &args.name, before, state })?;
    } else {
        writeln!(out, "{} is {state}; it was {before}", args.name)?;
    }
    Ok(ExitStatus::Success)
}
