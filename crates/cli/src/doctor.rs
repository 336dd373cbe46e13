//! `landfall doctor`: checks that the installation is configured correctly and works. Each check has a file. Checks
//! perform the operations of ingest and workers, and undo them. Those that the console runs too are in `operations::checks`.

mod api;
mod database;
mod findings;
mod folders;
mod permissions;
mod targets;

use std::io::Write;

use operations::checks::{Depth, clock, outcomes, programs, redis};
use secrecy::ExposeSecret as _;
use service::settings::{
    ConfigFileSettings, OpenAiSettings, RedisSettings, StoreSettings, WebhookSecretSettings,
};
use webhook::Verifier;

use crate::exit::{CliError, ExitStatus};
use crate::{json, output, printable, queue_client};
use findings::{Check, Finding};

const EXAMPLES: &str = "\
Examples:
  landfall doctor
  landfall doctor --json | jq -r 'select(.state != \"ok\") | .cure'
  docker compose run --rm landfall doctor

Run it where ingest and the workers run, with their settings. It performs their
operations: it enqueues a test entry and removes it, writes a row and rolls it
back, calls the OpenAI API, tries what the key may read, and resolves the
targets. docs/health.md explains each finding. A setting that cannot be parsed
is a usage error.

Exit codes: 0 no errors (there may be warnings), 1 errors found, 2 a setting
cannot be parsed.";

/// Check the installation: settings, Redis, programs, database, files, API key, clock, targets
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Doctor {
    /// Print one JSON object per finding: check, state (ok, warning, wrong), what, cure
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

/// Runs all checks and prints the findings.
pub(crate) async fn run(args: &Doctor, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let queue = queue_client::config(&args.redis);
    let (redis, database, files, api) = tokio::join!(
        redis::check(&queue, Depth::Write, args.redis.allow_volatile_redis),
        database::check(&args.store),
        folders::files(&args.store),
        api::check(&args.openai),
    );
    let mut all = vec![Check::Settings.ok("all settings can be read"), secret(&args.secret)];
    let (instances, store) = (redis.instances.as_deref(), database.store.as_ref());
    all.extend(redis.findings);
    all.extend(instances.map(programs::check).into_iter().flatten());
    all.extend(database.findings);
    all.extend(files);
    all.extend(api.findings);
    if let Some(store) = store {
        all.extend(outcomes::check(store).await);
    }
    all.extend(clock::check(redis.clock_ahead_secs, api.clock_ahead_secs));
    all.extend(targets::check(&args.config, instances, store).await);
    for finding in &mut all {
        finding.what = printable::one_line(&finding.what);
        finding.hint = finding.hint.as_deref().map(printable::one_line);
    }
    if args.json {
        json::write_lines(out, &all)?;
    } else {
        write!(out, "{}", findings::table(&all, output::width()))?;
    }
    Ok(if all.iter().any(Finding::is_wrong) { ExitStatus::Negative } else { ExitStatus::Success })
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
            // The message is `PROBLEM: HINT`, such as `is empty: copy the signing secret …`.
            let message = error.to_string();
            let (what, hint) = message.split_once(": ").unwrap_or((&message, "copy it again"));
            Check::Secret.wrong(format!("{name} {what}"), hint)
        }
    }
}
