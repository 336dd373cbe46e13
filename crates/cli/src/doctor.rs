//! `landfall doctor`: is everything set up right? Each check is a file; all run at once, and change nothing.

mod api;
mod clock;
mod findings;
mod folders;
mod redis;

use std::io::Write;

use secrecy::ExposeSecret as _;
use service::settings::{OpenAiSettings, RedisSettings, StoreSettings, WebhookSecretSettings};
use store::{Store, StoreError};
use webhook::Verifier;

use crate::exit::{Answer, Failure, chain};
use crate::{json, screen, stored};
use findings::{Check, Finding};

const EXAMPLES: &str = "\
Examples:
  landfall doctor
  landfall doctor --json | jq -r 'select(.state != \"ok\") | .cure'
  docker compose run --rm worker landfall doctor

Run it where ingest and the workers run, with their settings. A setting that
cannot be read at all is refused at once, with what to write, as everywhere.

Exit code: 0 nothing is wrong (there may be warnings), 1 something is, 2 a
setting cannot be read.";

/// Check the whole set-up: settings, Redis, database, files, clock, API key
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
}

/// Prints what is found.
pub(crate) async fn run(args: &Doctor, out: &mut dyn Write) -> Result<Answer, Failure> {
    let (redis, database, files, api) = tokio::join!(
        redis::check(&args.redis),
        database(&args.store),
        folders::files(&args.store),
        api::check(&args.openai),
    );
    let mut all = vec![Finding::ok(Check::Settings, "all can be read"), secret(&args.secret)];
    all.extend(redis.findings);
    all.extend(database);
    all.extend(files);
    all.extend(api.findings);
    all.extend(clock::judge(redis.clock_ahead_secs, api.clock_ahead_secs));
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

async fn database(settings: &StoreSettings) -> Vec<Finding> {
    let mut findings = Vec::new();
    match stored::open_existing(settings).await {
        Ok(store) => findings.push(readable(&store).await),
        Err(error) => findings.push(unreadable(&error)),
    }
    // Without a folder to write to, the best database is of no use.
    findings.extend(folders::database(settings).await.into_iter().filter(|finding| !finding.is_ok()));
    findings
}

async fn readable(store: &Store) -> Finding {
    let read = async {
        store.ping().await?;
        store.schema_version().await
    };
    match read.await {
        Ok(version) => Finding::ok(Check::Database, &format!("it can be read, schema {version}")),
        Err(error) => unreadable(&error),
    }
}

fn unreadable(error: &StoreError) -> Finding {
    match error {
        StoreError::NoDatabase(path) => Finding::warning(
            Check::Database,
            &format!("there is none at {} yet", path.display()),
            "start a worker, which makes it",
        ),
        StoreError::OldSchema { found, needed } => Finding::wrong(
            Check::Database,
            &format!("its schema is {found}, this version needs {needed}"),
            "start a worker of this version once, which brings it up to date",
        ),
        StoreError::Setting { .. } => {
            Finding::wrong(Check::Database, &error.to_string(), "correct DATABASE_URL")
        }
        StoreError::Folder { .. }
        | StoreError::Migrate(_)
        | StoreError::Database { .. }
        | StoreError::Files { .. }
        | StoreError::OutOfStep { .. } => Finding::wrong(
            Check::Database,
            &chain(error),
            "let DATABASE_URL name a database of Landfall that this user may read and write",
        ),
    }
}
