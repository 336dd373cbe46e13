//! `landfall doctor`: is everything set up right? Each check is a file; all run at once, and change nothing.

mod api;
mod clock;
mod database;
mod findings;
mod folders;
mod redis;

use std::io::Write;

use secrecy::ExposeSecret as _;
use service::settings::{
    ConfigFileSettings, OpenAiSettings, RedisSettings, StoreSettings, WebhookSecretSettings,
};
use webhook::Verifier;

use crate::exit::{Answer, Failure, chain};
use crate::{config, json, screen};
use findings::{Check, Finding};

const EXAMPLES: &str = "\
Examples:
  landfall doctor
  landfall doctor --json | jq -r 'select(.state != \"ok\") | .cure'
  docker compose run --rm landfall doctor

Run it where ingest and the workers run, with their settings. A setting that
cannot be read at all is refused at once, with what to write, as everywhere.

Exit code: 0 nothing is wrong (there may be warnings), 1 something is, 2 a
setting cannot be read.";

/// Check the whole set-up: settings, Redis, database, files, clock, API key, targets
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Doctor {
    /// One JSON object a finding: check, state (ok, warning, wrong), what, cure
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    redis: RedisSettings,
    #[command(flatten)]
    store: StoreSettings,
    #[command(flatten)]
    openai: OpenAiSettings,
    #[command(flatten)]
    secret: WebhookSecretSettings,
    #[command(flatten)]
    config: ConfigFileSettings,
}

/// Prints what is found.
pub(crate) async fn run(args: &Doctor, out: &mut dyn Write) -> Result<Answer, Failure> {
    let (redis, database, files, api) = tokio::join!(
        redis::check(&args.redis),
        database::check(&args.store),
        folders::files(&args.store),
        api::check(&args.openai),
    );
    let mut all = vec![Finding::ok(Check::Settings, "all can be read"), secret(&args.secret)];
    all.extend(redis.findings);
    all.extend(database);
    all.extend(files);
    all.extend(api.findings);
    all.extend(clock::judge(redis.clock_ahead_secs, api.clock_ahead_secs));
    all.extend(targets(&args.config));
    if args.json {
        for finding in &all {
            json::write_line(out, finding)?;
        }
    } else {
        write!(out, "{}", findings::table(&all, screen::width()))?;
    }
    Ok(if all.iter().any(Finding::is_wrong) { Answer::No } else { Answer::Yes })
}

fn secret(settings: &WebhookSecretSettings) -> Finding {
    let name = WebhookSecretSettings::NAME;
    let text = match settings.secret() {
        Ok(text) => text,
        Err(error) => return findings::setting(Check::Secret, &error),
    };
    match Verifier::from_setting(text.expose_secret()) {
        Ok(_) => Finding::ok(Check::Secret, &format!("{name} is well-formed")),
        Err(error) => {
            // `is empty: copy the signing secret …`
            let words = error.to_string();
            let (what, cure) = words.split_once(": ").unwrap_or((&words, "copy it again"));
            Finding::wrong(Check::Secret, &format!("{name} {what}"), cure)
        }
    }
}

/// Without a file nobody is to be told, and there is nothing to check.
fn targets(settings: &ConfigFileSettings) -> Vec<Finding> {
    let Some(path) = settings.landfall_config.as_ref() else { return Vec::new() };
    let read = config::read(path);
    let warnings = read.as_ref().map(notifier::Config::warnings).unwrap_or_default();
    let finding = match read {
        Ok(config) if config.targets.is_empty() => Finding::warning(
            Check::Targets,
            "LANDFALL_CONFIG names no target: nobody is told of results",
            "write [[targets]] into it, or leave LANDFALL_CONFIG out",
        ),
        Ok(config) => {
            let names: Vec<&str> = config.targets.iter().map(|target| target.name.as_str()).collect();
            Finding::ok(Check::Targets, &format!("told of results: {}", names.join(", ")))
        }
        Err(error) => {
            Finding::wrong(Check::Targets, &chain(&error), "correct it; then landfall config check")
        }
    };
    let warning = |text: &String| {
        let (what, cure) = text.rsplit_once(": ").unwrap_or((text, "see landfall config check"));
        Finding::warning(Check::Targets, what, cure)
    };
    std::iter::once(finding).chain(warnings.iter().map(warning)).collect()
}
