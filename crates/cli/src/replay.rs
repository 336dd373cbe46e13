//! `landfall replay`: enqueues stored events again. Workers then do with them what they would do with new ones.

use std::io::Write;

use chrono::{DateTime, Utc};
use serde::Serialize;
use service::settings::{RedisSettings, StoreSettings};
use store::{EventFilter, EventRecord, EventSeq, Found, Store};
use webhook::{EventState, Family, MaybeKnown};

use crate::again::{Again, Requeued};
use crate::exit::{Answer, Failure};
use crate::{events, json, moment, printable, progress, screen, stored};

/// More events than this are replayed only with `--yes`, and no longer get a line each.
const FEW: u64 = 100;
/// Events read at a time.
const PAGE: u32 = 500;

const EXAMPLES: &str = "\
Examples:
  landfall replay wh_685bd1                     one event
  landfall replay --state dead --dry-run        which would it be?
  landfall replay --state dead --since 24h
  landfall replay --family batch --since 2026-11-01 --yes

Objects are fetched again and stored again; what is stored already is only ever
replaced by something better. The time limit for retries starts again. An
event that waits for a retry is not added a second time: it is tried at once,
keeping its attempts. A dead letter stays where it is, even when a
replay stores its event; `landfall dead redrive` runs the dead letter itself. To
repair objects rather than events: `landfall fetch`.

Exit code: 0 enqueued, 1 an event is not known, 2 wrong use or many events
without --yes, 3 Redis or the database was not reached.";

/// Enqueue stored events again
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Replay {
    /// wh_…: the events of these webhooks; evt_… is known too
    #[arg(value_name = "WEBHOOK_ID", required_unless_present_any = ["since", "family", "state"])]
    webhook_ids: Vec<String>,
    /// All received since then: an age (90s, 30m, 1h, 7d), a day (2026-11-01) or a time in UTC
    #[arg(long, value_name = "WHEN", value_parser = moment::since, conflicts_with = "webhook_ids")]
    since: Option<DateTime<Utc>>,
    /// All of this family: response, batch, fine_tuning, eval, realtime, agent, safety, other
    #[arg(long, conflicts_with = "webhook_ids")]
    family: Option<Family>,
    /// All in this state: received, stored, retrying, dead
    #[arg(long, conflicts_with = "webhook_ids")]
    state: Option<EventState>,
    /// Only show what would be enqueued
    #[arg(long)]
    dry_run: bool,
    /// Replay more than 100 events
    #[arg(long)]
    yes: bool,
    /// One JSON object an event: webhook_id, type, family, state, object_id, enqueued, made_due
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    redis: RedisSettings,
    #[command(flatten)]
    store: StoreSettings,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    webhook_id: &'a str,
    r#type: &'a str,
    family: &'a MaybeKnown<Family>,
    state: &'a MaybeKnown<EventState>,
    object_id: Option<&'a str>,
    /// Whether it has a new entry.
    enqueued: bool,
    /// Whether it waited for a retry, and is tried at once instead.
    made_due: bool,
}

/// Enqueues the events asked for.
pub(crate) async fn run(args: &Replay, out: &mut dyn Write) -> Result<Answer, Failure> {
    let store = stored::open(&args.store).await?;
    let mut run = Run { args, again: Again::new(&args.redis)?, out, lines: true, done: 0, made_due: 0 };
    let answer = if args.webhook_ids.is_empty() {
        run.chosen(&store).await?;
        Answer::Yes
    } else {
        run.named(&store).await?
    };
    run.finish()?;
    Ok(answer)
}

/// The command at work.
struct Run<'a> {
    args: &'a Replay,
    again: Again,
    out: &'a mut dyn Write,
    /// Whether people get a line for each event.
    lines: bool,
    done: u64,
    /// Of those, how many waited for a retry.
    made_due: u64,
}

impl Run<'_> {
    async fn named(&mut self, store: &Store) -> Result<Answer, Failure> {
        let mut answer = Answer::Yes;
        for id in &self.args.webhook_ids {
            let found = store.find(id).await?;
            let known = !found.is_empty();
            let event = found.into_iter().find_map(|found| match found {
                Found::Event(event) if event.webhook_id == *id || event.event_id.as_ref() == Some(id) => {
                    Some(event)
                }
                _ => None,
            });
            match event {
                Some(event) => self.replay(&event).await?,
                None => {
                    let id = printable::one_line(id);
                    if known {
                        eprintln!("landfall: {id} is no event; for objects there is `landfall fetch {id}`");
                    } else {
                        eprintln!("landfall: no event is stored under {id}");
                    }
                    answer = Answer::No;
                }
            }
        }
        Ok(answer)
    }

    async fn chosen(&mut self, store: &Store) -> Result<(), Failure> {
        let Replay { family, state, since, .. } = *self.args;
        let filter = EventFilter { project: None, family, state, since, limit: PAGE };
        // What comes in meanwhile is not meant.
        let up_to = store.event_watermark().await?;
        let total = store.count_chosen(&filter, up_to).await?;
        if total > FEW && !self.args.yes && !self.args.dry_run {
            return Err(Failure::WrongUse(format!(
                "{} events would be enqueued again: add --yes to do it, or --dry-run to see them",
                screen::count(total)
            )));
        }
        self.lines = total <= FEW || self.args.dry_run;
        let bar = progress::bar(total, self.lines || self.args.json);
        let mut after = EventSeq::default();
        loop {
            let page = store.events_between(&filter, after, up_to).await?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            for (_, event) in &page {
                self.replay(event).await?;
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    async fn replay(&mut self, event: &EventRecord) -> Result<(), Failure> {
        let made_due = !self.args.dry_run && matches!(self.again.requeue(event).await?, Requeued::MadeDue(_));
        self.done += 1;
        self.made_due += u64::from(made_due);
        if self.args.json {
            let line = Line {
                webhook_id: &event.webhook_id,
                r#type: &event.event_type,
                family: &event.family,
                state: &event.state,
                object_id: event.object_id.as_deref(),
                enqueued: !self.args.dry_run && !made_due,
                made_due,
            };
            json::write_line(self.out, &line)?;
        } else if self.lines {
            let head = format!("{:<8}  {:<25}", event.state, event.event_type);
            let line = screen::line_with_id(&head, events::id(event), screen::width());
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Failure> {
        if self.args.json {
            return Ok(());
        }
        let count = screen::counted(self.done, "event");
        if self.args.dry_run {
            writeln!(self.out, "{count} would be enqueued again")?;
        } else if self.done > 0 {
            let waited = match self.made_due {
                0 => String::new(),
                waited => format!(" ({} waited for a retry and is tried at once)", screen::count(waited)),
            };
            writeln!(self.out, "{count} enqueued again{waited}; see what becomes of them: landfall tail")?;
        } else if self.args.webhook_ids.is_empty() {
            eprintln!("landfall: there are no such events");
        }
        Ok(())
    }
}
