//! `landfall dead redrive` and `landfall dead discard`: one by one, each in one step of its own.

use std::io::Write;
use std::time::Duration;

use queue::QueueAdmin;
use serde::Serialize;
use service::settings::RedisSettings;
use webhook::Family;

use super::letters::{self, Filter, Letter, Pages};
use crate::exit::{Answer, Failure};
use crate::{confirm, json, printable, queued, screen};

/// What is to become of the letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settlement {
    Redrive,
    Discard,
}

/// Put dead letters back into the queue, as if they had been received now
#[derive(Debug, clap::Args)]
pub(super) struct Redrive {
    #[command(flatten)]
    selection: Selection,
}

/// Delete dead letters for good
#[derive(Debug, clap::Args)]
pub(super) struct Discard {
    #[command(flatten)]
    selection: Selection,
    /// Delete without a question; needed where there is no terminal to ask at
    #[arg(long)]
    yes: bool,
}

/// Which dead letters, and how fast
#[derive(Debug, clap::Args)]
struct Selection {
    /// Of the dead letters, of their entries, or of their webhooks (wh_…)
    #[arg(value_name = "ID", required_unless_present_any = ["family", "reason", "all"])]
    ids: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// All dead letters; with --family or --reason, all of those
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// Only show which
    #[arg(long)]
    dry_run: bool,
    /// At most so many a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// One JSON object a dead letter: action, dry_run, id, family, entry_id, webhook_id
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
    /// Of the new entry; `null` when there is none.
    entry_id: Option<&'a str>,
    webhook_id: Option<&'a str>,
}

/// Brings back what was chosen.
pub(super) async fn redrive(args: &Redrive, out: &mut dyn Write) -> Result<Answer, Failure> {
    settle(Settlement::Redrive, &args.selection, true, out).await
}

/// Deletes what was chosen.
pub(super) async fn discard(args: &Discard, out: &mut dyn Write) -> Result<Answer, Failure> {
    settle(Settlement::Discard, &args.selection, args.yes, out).await
}

async fn settle(
    settlement: Settlement,
    args: &Selection,
    confirmed: bool,
    out: &mut dyn Write,
) -> Result<Answer, Failure> {
    let reader = queued::reader(&args.redis)?;
    let pace = args.rate.map(|rate| tokio::time::interval(Duration::from_secs(1) / rate));
    let mut run = Run { settlement, args, reader: &reader, pace, out, done: 0 };
    let confirmed = confirmed || args.dry_run;
    let answer =
        if args.ids.is_empty() { run.chosen(confirmed).await? } else { run.named(confirmed).await? };
    if run.done > 0 && !args.json {
        eprintln!("landfall: {} {}", screen::count(run.done), settlement.done(args.dry_run));
    }
    Ok(answer)
}

/// The command at work.
struct Run<'a> {
    settlement: Settlement,
    args: &'a Selection,
    reader: &'a QueueAdmin,
    pace: Option<tokio::time::Interval>,
    out: &'a mut dyn Write,
    done: u64,
}

impl Run<'_> {
    /// All are looked up before the first is settled: nothing is done when one of them is not clear.
    async fn named(&mut self, confirmed: bool) -> Result<Answer, Failure> {
        let (mut letters, mut answer) = (Vec::new(), Answer::Yes);
        for id in &self.args.ids {
            let found = letters::find(self.reader, self.args.filter, id).await?;
            if found.is_empty() {
                eprintln!("landfall: no dead letter has the id {}", printable::one_line(id));
                answer = Answer::No;
            }
            // An id of Redis may be given in several families; a webhook may have died more than once.
            if found.len() > 1 && found.iter().any(|letter| letter.family != found[0].family) {
                return Err(Failure::WrongUse(format!(
                    "{} is a dead letter in several families: add --family",
                    printable::one_line(id)
                )));
            }
            letters.extend(found);
        }
        if !letters.is_empty() && !confirm::deletion(letters.len() as u64, "dead letters", confirmed)? {
            return Ok(Answer::No);
        }
        for letter in &letters {
            self.settle(letter).await?;
        }
        Ok(answer)
    }

    async fn chosen(&mut self, confirmed: bool) -> Result<Answer, Failure> {
        let mut pages = Pages::begin(self.reader, self.args.filter).await?;
        if !confirmed {
            let mut count = 0;
            while let Some(page) = pages.next().await? {
                count += page.len() as u64;
            }
            pages.rewind();
            if !confirm::deletion(count, "dead letters", confirmed)? {
                return Ok(Answer::No);
            }
        }
        while let Some(page) = pages.next().await? {
            for letter in &page {
                self.settle(letter).await?;
            }
        }
        if self.done == 0 {
            eprintln!("landfall: there are no such dead letters");
            return Ok(Answer::No);
        }
        Ok(Answer::Yes)
    }

    async fn settle(&mut self, letter: &Letter) -> Result<(), Failure> {
        if let Some(pace) = self.pace.as_mut().filter(|_| !self.args.dry_run) {
            pace.tick().await;
        }
        let (family, id) = (letter.family, letter.letter.id.as_str());
        let entry_id = match self.settlement {
            _ if self.args.dry_run => Some(String::new()),
            Settlement::Redrive => self.reader.redrive(family, id).await?,
            Settlement::Discard => {
                let gone = self.reader.discard(family, id).await?;
                gone.then(String::new)
            }
        };
        let Some(entry_id) = entry_id else {
            eprintln!("landfall: {} was settled by another operator meanwhile", printable::one_line(id));
            return Ok(());
        };
        self.done += 1;
        if self.args.json {
            let line = Line {
                action: self.settlement.name(),
                dry_run: self.args.dry_run,
                id,
                family,
                entry_id: Some(entry_id.as_str()).filter(|id| !id.is_empty()),
                webhook_id: letter.webhook_id(),
            };
            json::write_line(self.out, &line)?;
        } else {
            let head = format!("{:<9} {}", family, letter.event_type().unwrap_or("-"));
            writeln!(self.out, "{}", screen::line_with_id(&head, id, screen::width()))?;
        }
        Ok(())
    }
}

impl Settlement {
    const fn name(self) -> &'static str {
        match self {
            Self::Redrive => "redrive",
            Self::Discard => "discard",
        }
    }

    const fn done(self, dry_run: bool) -> &'static str {
        match (self, dry_run) {
            (Self::Redrive, false) => "redriven: workers try again",
            (Self::Redrive, true) => "would be redriven",
            (Self::Discard, false) => "discarded",
            (Self::Discard, true) => "would be discarded",
        }
    }
}
