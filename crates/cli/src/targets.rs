//! `landfall targets`: the systems that are told of results. How they are, a test, a pause.

mod list;
mod names;
mod test;

use std::io::Write;

use chrono::Utc;
use serde::Serialize;
use service::settings::{ConfigFileSettings, StoreSettings};
use store::TargetState;
use webhook::MaybeKnown;

use crate::exit::{Answer, Failure};

use crate::{config, json, stored};
pub(crate) use names::no_such_target;

const EXAMPLES: &str = "\
Examples:
  landfall targets list                how they are, and what waits for them
  landfall targets test app            send one test notification now
  landfall targets pause app           keep its notifications until resumed
  landfall targets resume app          also one that answered 410 Gone

Targets are named in landfall.toml (LANDFALL_CONFIG). A pause holds for all
workers within a second; what is being sent is still sent.

Exit code: 0 done, 1 no such target or it refused the test, 2 wrong use, 3 the
database, Redis or the target was not reached.";

/// The systems that are told of results: list, test, pause, resume
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Targets {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Every target, how it is, and how many notifications wait, went out, were given up
    List(list::List),
    /// Send one signed test notification (type landfall.test) to a target, now and without the queue
    Test(test::Test),
    /// Send a target nothing more; its notifications are kept
    Pause(Change),
    /// Send to a target again, from the first that waits
    Resume(Change),
}

/// Which target a pause or its end is for.
#[derive(Debug, clap::Args)]
pub(crate) struct Change {
    /// As landfall.toml calls it
    name: String,
    /// One JSON object: target, before, state
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

/// Does what is asked.
pub(crate) async fn run(args: &Targets, out: &mut dyn Write) -> Result<Answer, Failure> {
    match &args.action {
        Action::List(args) => list::run(args, out).await,
        Action::Test(args) => test::run(args, out).await,
        Action::Pause(args) => change(args, TargetState::Paused, out).await,
        Action::Resume(args) => change(args, TargetState::Active, out).await,
    }
}

async fn change(args: &Change, state: TargetState, out: &mut dyn Write) -> Result<Answer, Failure> {
    let config = config::of(&args.config)?;
    let store = stored::open(&args.store).await?;
    let is_named = config.targets.iter().any(|target| target.name == args.name);
    // One that is no longer in the file may still have notifications that wait.
    let is_known = is_named || names::known(&store).await?.contains(&args.name);
    if !is_known {
        return Ok(no_such_target(&args.name));
    }
    let before = store.set_target_state(&args.name, state, Utc::now()).await?.state;
    if args.json {
        json::write_line(out, &Changed { target: &args.name, before, state })?;
    } else {
        writeln!(out, "{} is {state}; it was {before}", args.name)?;
    }
    Ok(Answer::Yes)
}
