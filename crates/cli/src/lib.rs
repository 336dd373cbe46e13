//! The `landfall` command: inspects and repairs an installation. Each verb has a file; `exit.rs` defines the exit codes,
//! `output.rs` the layout. Results go to stdout, everything else to stderr.
#![expect(clippy::print_stderr, reason = "a CLI reports to its user on stderr; it writes no log")]

mod completions;
mod config;
mod confirm;
mod db;
mod dead;
mod doctor;
mod events;
mod exit;
mod export;
mod fetch;
mod follow;
mod full_queue;
mod help;
mod input;
mod json;
mod listen;
mod man;
mod migrate;
mod notifications;
mod output;
mod printable;
mod progress;
mod prune;
mod queue_client;
mod replay;
mod result_lines;
mod results;
mod retry;
mod secret;
mod send;
mod shortfall;
mod show;
mod status;
mod store_client;
mod tail;
mod targets;
mod time_format;
mod token;
mod verify;
mod wait;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};

use exit::{CliError, ExitStatus};

const EXAMPLES: &str = "\
Start here:
  landfall send --every-type   post a signed test event of each type to ingest
  landfall status              backlog, retries and dead letters per family
  landfall events --since 1h   recent events and their states
  landfall tail                follow events as they happen
  landfall show resp_685bd1    everything stored under an ID
  landfall wait batch_685bd1   wait until it is stored, then exit
  landfall fetch --missing     fetch all objects that are not yet fetched
  landfall retry               retry now, once the API key works again
  landfall dead list           dead letters and the reasons; redrive, discard
  landfall targets list        notification targets and their backlogs
  landfall doctor              check the whole installation

Every setting is an environment variable or a flag: see `landfall help VERB`.
Exit codes: 0 success, 1 negative result (such as not found), 2 usage error,
3 Redis, the database, ingest or OpenAI could not be reached.";

/// Inspect and repair a Landfall installation: OpenAI webhooks, their results and notifications
#[derive(Debug, Parser)]
#[command(name = "landfall", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(mut_subcommands = help::with_examples)]
struct Landfall {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Status(status::Status),
    Events(events::Events),
    Tail(tail::Tail),
    Show(show::Show),
    Wait(wait::Wait),
    Results(results::Results),
    Export(export::Export),
    Fetch(fetch::Fetch),
    Replay(replay::Replay),
    Retry(retry::Retry),
    Dead(dead::Dead),
    Prune(prune::Prune),
    Config(config::ConfigVerb),
    Targets(targets::Targets),
    Notifications(notifications::Notifications),
    Listen(listen::Listen),
    Doctor(Box<doctor::Doctor>),
    Migrate(migrate::Migrate),
    Db(db::Db),
    Send(send::Send),
    Verify(verify::Verify),
    Secret(secret::Secret),
    Token(token::Token),
    Completions(completions::Completions),
    Man(man::Man),
}

/// Runs the command that the arguments of this process name.
#[tokio::main(flavor = "current_thread")]
pub async fn main() -> ExitCode {
    service::install_crypto_provider();
    service::keep_files_private();
    let landfall: Landfall = service::settings::parse();
    exit::code(run(landfall.verb, &mut std::io::stdout().lock()).await)
}

async fn run(verb: Verb, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    match verb {
        Verb::Status(args) => status::run(&args, out).await,
        Verb::Events(args) => events::run(&args, out).await,
        Verb::Tail(args) => tail::run(&args, out).await,
        Verb::Show(args) => show::run(&args, out).await,
        Verb::Wait(args) => wait::run(&args, out).await,
        Verb::Results(args) => results::run(&args, out).await,
        Verb::Export(args) => export::run(&args, out).await,
        Verb::Fetch(args) => fetch::run(&args, out).await,
        Verb::Replay(args) => replay::run(&args, out).await,
        Verb::Retry(args) => retry::run(&args, out).await,
        Verb::Dead(args) => dead::run(&args, out).await,
        Verb::Prune(args) => prune::run(&args, out).await,
        Verb::Config(args) => config::run(&args, out),
        Verb::Targets(args) => targets::run(&args, out).await,
        Verb::Notifications(args) => notifications::run(&args, out).await,
        Verb::Listen(args) => listen::run(&args, out).await,
        Verb::Doctor(args) => doctor::run(&args, out).await,
        Verb::Migrate(args) => migrate::run(&args, out).await,
        Verb::Db(args) => db::run(&args, out).await,
        Verb::Send(args) => send::run(args, out).await,
        Verb::Verify(args) => verify::run(&args, out),
        Verb::Secret(args) => secret::run(&args, out),
        Verb::Token(args) => token::run(&args, out).await,
        Verb::Completions(args) => completions::run(&args, command_line(), out),
        Verb::Man(args) => man::run(&args, command_line(), out),
    }
}

/// All verbs and flags, for completions and manual pages.
fn command_line() -> clap::Command {
    Landfall::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command_line().debug_assert();
    }

    #[test]
    fn examples_fit_80_columns() {
        let command = command_line();
        let verbs = command.get_subcommands().chain([&command]);
        let texts = verbs.filter_map(|verb| verb.get_after_help().map(ToString::to_string));
        let texts: Vec<String> = texts.collect();
        assert!(texts.len() > 3);
        for line in texts.iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn every_verb_has_examples() {
        let (mut verbs, mut without) = (0, Vec::new());
        for verb in command_line().get_subcommands() {
            let actions: Vec<&clap::Command> = verb.get_subcommands().collect();
            for action in if actions.is_empty() { vec![verb] } else { actions } {
                verbs += 1;
                let help = action.get_after_help().map(ToString::to_string).unwrap_or_default();
                if !help.contains("Examples:\n  ") {
                    without.push(format!("{} {}", verb.get_name(), action.get_name()));
                }
            }
        }
        // docker-compose.yml runs it; people do not.
        assert_eq!(without, ["secret install"]);
        assert!(verbs > 30, "{verbs}");
    }
}
