//! The command `landfall`: looks at and repairs all of an installation. One file a verb; `exit.rs` has the exit codes,
//! `screen.rs` how things look. Answers go to stdout, everything else to stderr.
#![expect(clippy::print_stderr, reason = "a command speaks to its user on stderr; it keeps no log")]

mod again;
mod answer;
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
mod input;
mod json;
mod listen;
mod man;
mod migrate;
mod moment;
mod notifications;
mod printable;
mod progress;
mod prune;
mod queued;
mod replay;
mod result_lines;
mod results;
mod retry;
mod screen;
mod secret;
mod send;
mod shortfall;
mod show;
mod status;
mod stored;
mod tail;
mod targets;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};

use exit::{Answer, Failure};

const EXAMPLES: &str = "\
Start here:
  landfall send --every-type   post a signed test event of each type to ingest
  landfall status              what is waiting, running, delayed, dead
  landfall events --since 1h   what came in, and what became of it
  landfall tail                the same as it happens
  landfall show resp_685bd1    all that is known about one id
  landfall fetch --missing     fetch what was not fetched
  landfall retry               try again at once, once the API key is mended
  landfall dead list           what was given up, and why; redrive, discard
  landfall targets list        who is told of results, and what waits for them
  landfall doctor              is everything set up right?

Every setting is an environment variable or a flag: see `landfall help VERB`.
Exit codes: 0 done, 1 the answer is no, 2 wrong use, 3 Redis, the database,
ingest or OpenAI could not be reached.";

/// Landfall catches OpenAI webhooks and brings the results home
#[derive(Debug, Parser)]
#[command(name = "landfall", version, after_help = EXAMPLES, max_term_width = 100)]
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
    Completions(completions::Completions),
    Man(man::Man),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    service::install_crypto_provider();
    service::keep_files_private();
    let landfall: Landfall = service::settings::parse();
    exit::code(run(landfall.verb, &mut std::io::stdout().lock()).await)
}

async fn run(verb: Verb, out: &mut dyn Write) -> Result<Answer, Failure> {
    match verb {
        Verb::Status(args) => status::run(&args, out).await,
        Verb::Events(args) => events::run(&args, out).await,
        Verb::Tail(args) => tail::run(&args, out).await,
        Verb::Show(args) => show::run(&args, out).await,
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
        Verb::Completions(args) => completions::run(&args, command_line(), out),
        Verb::Man(args) => man::run(&args, command_line(), out),
    }
}

/// All verbs and flags, for what describes them.
fn command_line() -> clap::Command {
    Landfall::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Landfall::command().debug_assert();
    }

    #[test]
    fn examples_fit_80_columns() {
        let command = Landfall::command();
        let verbs = command.get_subcommands().chain([&command]);
        let texts = verbs.filter_map(|verb| verb.get_after_help().map(ToString::to_string));
        let texts: Vec<String> = texts.collect();
        assert!(texts.len() > 3);
        for line in texts.iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
