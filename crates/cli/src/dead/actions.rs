//! `landfall dead redrive` and `landfall dead discard`. Each dead letter is handled in one atomic step.

use std::io::Write;
use std::time::Duration;

use operations::dead_letters::{self, DeadLetterSelection, Letter};
use queue::QueueAdmin;
use serde::Serialize;
use service::settings::RedisSettings;
use webhook::Family;

use super::filter::Filter;
use crate::exit::{CliError, ExitStatus};
use crate::{confirm, json, output, printable, queue_client};

/// What to do with the letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Redrive,
    Discard,
}

/// Put dead letters back into the queue as new entries
#[derive(Debug, clap::Args)]
pub(super) struct Redrive {
    #[command(flatten)]
    selection: Selection,
}

/// Permanently delete dead letters
#[derive(Debug, clap::Args)]
pub(super) struct Discard {
    #[command(flatten)]
    selection: Selection,
    /// Delete without a prompt; required when there is no terminal
    #[arg(long)]
    yes: bool,
}

/// Selects dead letters, and limits the rate
#[derive(Debug, clap::Args)]
struct Selection {
    /// IDs of dead letters, of their entries, or of their webhooks (wh_…)
    #[arg(value_name = "ID", required_unless_present_any = ["family", "reason", "all"])]
    ids: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// All dead letters that match --family and --reason
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// Only print which ones would be affected
    #[arg(long)]
    dry_run: bool,
    /// Maximum number per second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// Print one JSON object per dead letter: action, dry_run, id, family, entry_id, webhook_id
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    redis: RedisSettings,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    action: &'static str,
    dry_run: bool,
    id: &'a str,
    family: Family,
    /// Id of the new entry; `null` when there is none.
    entry_id: Option<&'a str>,
    webhook_id: Option<&'a str>,
}

/// Redrives the selected letters.
pub(super) async fn redrive(args: &Redrive, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    apply(Action::Redrive, &args.selection, true, out).await
}

/// Deletes the selected letters.
pub(super) async fn discard(args: &Discard, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    apply(Action::Discard, &args.selection, args.yes, out).await
}

async fn apply(
    action: Action,
    args: &Selection,
    confirmed: bool,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    let reader = queue_client::reader(&args.redis)?;
    let limiter = args.rate.map(|rate| tokio::time::interval(Duration::from_secs(1) / rate));
    let mut run = Run { action, args, reader: &reader, limiter, out, done: 0 };
    let confirmed = confirmed || args.dry_run;
    let exit_status =
        if args.ids.is_empty() { run.filtered(confirmed).await? } else { run.named(confirmed).await? };
    if run.done > 0 && !args.json {
        eprintln!("landfall: {} {}", output::count(run.done), action.done(args.dry_run));
    }
    Ok(exit_status)
}

/// One run of the command.
struct Run<'a> {
    action: Action,
    args: &'a Selection,
    reader: &'a QueueAdmin,
    limiter: Option<tokio::time::Interval>,
    out: &'a mut dyn Write,
    done: u64,
}

impl Run<'_> {
    /// Looks up all ids first, so that an ambiguous id stops the command before it changes anything.
    async fn named(&mut self, confirmed: bool) -> Result<ExitStatus, CliError> {
        let (mut letters, mut exit_status) = (Vec::new(), ExitStatus::Success);
        for id in &self.args.ids {
            let found = dead_letters::find(self.reader, self.args.filter.into(), id).await?;
            if found.is_empty() {
                eprintln!("landfall: no dead letter has the id {}", printable::one_line(id));
                exit_status = ExitStatus::Negative;
            }
            // Stream ids are unique only within a family; a webhook may have several dead letters.
            if found.len() > 1 && found.iter().any(|letter| letter.family != found[0].family) {
                return Err(CliError::Usage(format!(
                    "{} matches dead letters in several families: add --family",
                    printable::one_line(id)
                )));
            }
            letters.extend(found);
        }
        if !letters.is_empty() && !confirm::deletion(letters.len() as u64, "dead letters", confirmed)? {
            return Ok(ExitStatus::Negative);
        }
        for letter in &letters {
            self.apply(letter).await?;
        }
        Ok(exit_status)
    }

    async fn filtered(&mut self, confirmed: bool) -> Result<ExitStatus, CliError> {
        let selection = DeadLetterSelection::now(self.reader, self.args.filter.into()).await?;
        if !confirmed {
            let (mut count, mut pages) = (0, selection.pages(self.reader));
            while let Some(page) = pages.next().await? {
                count += page.len() as u64;
            }
            if !confirm::deletion(count, "dead letters", confirmed)? {
                return Ok(ExitStatus::Negative);
            }
        }
        let mut pages = selection.pages(self.reader);
        while let Some(page) = pages.next().await? {
            for letter in &page {
                self.apply(letter).await?;
            }
        }
        if self.done == 0 {
            eprintln!("landfall: no dead letters found");
            return Ok(ExitStatus::Negative);
        }
        Ok(ExitStatus::Success)
    }

    async fn apply(&mut self, letter: &Letter) -> Result<(), CliError> {
        if let Some(limiter) = self.limiter.as_mut().filter(|_| !self.args.dry_run) {
            limiter.tick().await;
        }
        let (family, id) = (letter.family, letter.letter.id.as_str());
        let entry_id = match self.action {
            _ if self.args.dry_run => Some(String::new()),
            Action::Redrive => self.reader.redrive(family, id).await?,
            Action::Discard => {
                let gone = self.reader.discard(family, id).await?;
                gone.then(String::new)
            }
        };
        let Some(entry_id) = entry_id else {
            eprintln!(
                "landfall: {} was redriven or discarded by someone else in the meantime",
                printable::one_line(id)
            );
            return Ok(());
        };
        self.done += 1;
        if self.args.json {
            let line = Line {
                action: self.action.name(),
                dry_run: self.args.dry_run,
                id,
                family,
                entry_id: Some(entry_id.as_str()).filter(|id| !id.is_empty()),
                webhook_id: letter.webhook_id(),
            };
            json::write_line(self.out, &line)?;
        } else {
            let head = format!("{:<9} {}", family, letter.event_type().unwrap_or("-"));
            writeln!(self.out, "{}", output::line_with_id(&head, id, output::width()))?;
        }
        Ok(())
    }
}

impl Action {
    const fn name(self) -> &'static str {
        match self {
            Self::Redrive => "redrive",
            Self::Discard => "discard",
        }
    }

    const fn done(self, dry_run: bool) -> &'static str {
        match (self, dry_run) {
            (Self::Redrive, false) => "redriven; workers process them now",
            (Self::Redrive, true) => "would be redriven",
            (Self::Discard, false) => "discarded",
            (Self::Discard, true) => "would be discarded",
        }
    }
}
