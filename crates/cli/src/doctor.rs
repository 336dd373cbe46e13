//! `landfall doctor`: is everything set up right, and does it work? Each check is a file. What programs do is tried, and
//! taken back.

mod api;
mod clock;
mod database;
mod findings;
mod folders;
mod outcomes;
mod programs;
mod redis;
mod targets;

use std::io::Write;

use secrecy::ExposeSecret as _;
use service::settings::{
    ConfigFileSettings, OpenAiSettings, RedisSettings, StoreSettings, WebhookSecretSettings,
};
use webhook::Verifier;

use crate::exit::{Answer, Failure};
use crate::{json, screen};
use findings::{Check, Finding};

const EXAMPLES: &str = "\
Examples:
  landfall doctor
  landfall doctor --json | jq -r 'select(.state != \"ok\") | .cure'
  docker compose run --rm landfall doctor

Run it where ingest and the workers run, with their settings. It tries what
they do: enqueues a check entry and removes it, writes a row and takes it back,
asks OpenAI, looks targets up. What each finding means: docs/health.md.
A setting that cannot be read at all is refused at once, with what to write.

Exit code: 0 nothing is wrong (there may be warnings), 1 something is, 2 a
setting cannot be read.";

/// Check the whole set-up: settings, Redis, programs, database, files, API key, clock, targets
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
    let mut all = vec![Check::Settings.ok("all can be read"), secret(&args.secret)];
    let (instances, store) = (redis.instances.as_deref(), database.store.as_ref());
    all.extend(redis.findings);
    all.extend(instances.map(programs::judge).into_iter().flatten());
    all.extend(database.findings);
    all.extend(files);
    all.extend(api.findings);
    if let Some(store) = store {
        all.extend(outcomes::check(store).await);
    }
    all.extend(clock::judge(redis.clock_ahead_secs, api.clock_ahead_secs));
    all.extend(targets::check(&args.config, instances, store).await);
    if args.json {
        json::write_lines(out, &all)?;
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
        Ok(_) => Check::Secret.ok(format!("{name} is well-formed")),
        Err(error) => {
            // `is empty: copy the signing secret …`
            let words = error.to_string();
            let (what, cure) = words.split_once(": ").unwrap_or((&words, "copy it again"));
            Check::Secret.wrong(format!("{name} {what}"), cure)
        }
    }
}
