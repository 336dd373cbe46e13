//! `landfall dead redrive` and `landfall dead discard`: one by one, each in one step of its own.

use std::io::Write;
use std::time::Duration;

use queue::QueueReader;
use serde::Serialize;
use service::settings::RedisSettings;
use webhook::Family;

use super::Filter;
use super::letters::{self, Letter, Pages};
use crate::exit::{Answer, Failure};
use crate::{json, queued, screen};

/// What is to become of the letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settlement {
    Redrive,
    Discard,
}

/// Which dead letters, and how fast
#[derive(Debug, clap::Args)]
pub(super) struct Selection {
    /// Of the dead letters, of their entries, or of their webhooks (wh_…)
    #[arg(value_name = "ID", required_unless_present_any = ["family", "reason", "all"])]
    ids: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// All dead letters; with --family or --reason, all of those
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// At most so many a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// One JSON object a dead letter: action, id, family, entry_id, webhook_id
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    redis: RedisSettings,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    action: &'static str,
    id: &'a str,
    family: Family,
    /// Of the new entry; `null` when it was discarded.
    entry_id: Option<&'a str>,
    webhook_id: Option<&'a str>,
}

/// Settles what was chosen.
pub(super) async fn run(
    settlement: Settlement,
    args: &Selection,
    out: &mut dyn Write,
) -> Result<Answer, Failure> {
    let reader = super::reader(&args.redis)?;
    let pace = args.rate.map(|rate| tokio::time::interval(Duration::from_secs(1) / rate));
    let mut run = Run { settlement, reader: &reader, json: args.json, pace, out, done: 0 };
    let mut answer = Answer::Yes;
    for id in &args.ids {
        let found = letters::find(&reader, args.filter, id).await?;
        if found.is_empty() {
            eprintln!("landfall: no dead letter has the id {}", screen::printable(id));
            answer = Answer::No;
        }
        // An id of Redis may be given in several families; a webhook may have died more than once.
        if found.len() > 1 && found.iter().any(|letter| letter.family != found[0].family) {
            return Err(Failure::WrongUse(format!(
                "{} is a dead letter in several families: add --family",
                screen::printable(id)
            )));
        }
        for letter in &found {
            run.settle(letter).await?;
        }
    }
    if args.ids.is_empty() {
        let mut pages = Pages::begin(&reader, args.filter).await?;
        while let Some(page) = pages.next().await? {
            for letter in &page {
                run.settle(letter).await?;
            }
        }
        if run.done == 0 {
            eprintln!("landfall: there are no such dead letters");
            answer = Answer::No;
        }
    }
    if run.done > 0 && !args.json {
        eprintln!("landfall: {} {}", screen::count(run.done), settlement.done());
    }
    Ok(answer)
}

/// The command at work.
struct Run<'a> {
    settlement: Settlement,
    reader: &'a QueueReader,
    json: bool,
    pace: Option<tokio::time::Interval>,
    out: &'a mut dyn Write,
    done: u64,
}

impl Run<'_> {
    async fn settle(&mut self, letter: &Letter) -> Result<(), Failure> {
        if let Some(pace) = &mut self.pace {
            pace.tick().await;
        }
        let (family, id) = (letter.family, letter.letter.id.as_str());
        let entry_id = match self.settlement {
            Settlement::Redrive => self.reader.redrive(family, id).await.map_err(queued::failure)?,
            Settlement::Discard => {
                let gone = self.reader.discard(family, id).await.map_err(queued::failure)?;
                gone.then(String::new)
            }
        };
        let Some(entry_id) = entry_id else {
            eprintln!("landfall: {} was settled by somebody else meanwhile", screen::printable(id));
            return Ok(());
        };
        self.done += 1;
        if self.json {
            let line = Line {
                action: self.settlement.name(),
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

    const fn done(self) -> &'static str {
        match self {
            Self::Redrive => "redriven: workers try again",
            Self::Discard => "discarded",
        }
    }
}
