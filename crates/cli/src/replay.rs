//! `landfall replay`: enqueues stored events again. Workers process them like new ones.

use std::io::Write;

use chrono::{DateTime, Utc};
use operations::replay::{self, EventSelection, NamedEvent, ReplayFilter};
use operations::requeue::{Requeued, Requeuer, random_id};
use serde::Serialize;
use service::settings::{RedisSettings, StoreSettings};
use store::{EventRecord, Store};
use webhook::{EventState, Family, MaybeKnown};

use crate::exit::{CliError, ExitStatus};
use crate::full_queue::FullQueue;
use crate::{events, json, output, printable, progress, queue_client, store_client, time_format};

/// More events than this require `--yes`, and are not listed.
const FEW: u64 = 100;

const EXAMPLES: &str = "\
Examples:
  landfall replay wh_685bd1                     one event
  landfall replay --state dead --dry-run        list without enqueuing
  landfall replay --state dead --since 24h
  landfall replay --family batch --since 2026-11-01 --yes

Objects are fetched and stored again; a stored object is only replaced by a more
complete one. The retry time limit starts over. An event that is waiting for a
retry is not added a second time: it becomes due now and keeps its attempts. A
dead letter is kept even if a replay stores its event; to process the dead
letter itself, use `landfall dead redrive`. To repair objects instead of events,
use `landfall fetch`.

Exit codes: 0 enqueued, 1 an event was not found, 2 usage error, or many events
without --yes, 3 Redis or the database could not be reached.";

/// Enqueue stored events again
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Replay {
    /// Webhook IDs (wh_…) or event IDs (evt_…)
    #[arg(value_name = "WEBHOOK_ID", required_unless_present_any = ["since", "family", "state"])]
    webhook_ids: Vec<String>,
    /// All events received since: an age (90s, 30m, 1h, 7d), a date (2026-11-01) or a UTC time
    #[arg(long, value_name = "WHEN", value_parser = time_format::since, conflicts_with = "webhook_ids")]
    since: Option<DateTime<Utc>>,
    /// All events of this family: response, batch, fine_tuning, eval, realtime, agent, safety, other
    #[arg(long, conflicts_with = "webhook_ids")]
    family: Option<Family>,
    /// All events in this state: received, stored, retrying, dead
    #[arg(long, conflicts_with = "webhook_ids")]
    state: Option<EventState>,
    /// Only list the events that would be enqueued
    #[arg(long)]
    dry_run: bool,
    /// Allow more than 100 events
    #[arg(long)]
    yes: bool,
    /// Print one JSON object per event: webhook_id, type, family, state, object_id, enqueued, made_due
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
    /// Whether a new entry was added.
    enqueued: bool,
    /// Whether its delayed entry was made due instead.
    made_due: bool,
}

/// Enqueues the selected events.
pub(crate) async fn run(args: &Replay, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let store = store_client::open(&args.store).await?;
    let requeuer = Requeuer::new(&queue_client::config(&args.redis), random_id())?;
    let full_queue = FullQueue::default();
    let mut run = Run { args, requeuer, full_queue, out, lines: true, done: 0, made_due: 0 };
    let exit_status = if args.webhook_ids.is_empty() {
        run.filtered(&store).await?;
        ExitStatus::Success
    } else {
        run.named(&store).await?
    };
    run.finish()?;
    Ok(exit_status)
}

/// One run of the command.
struct Run<'a> {
    args: &'a Replay,
    requeuer: Requeuer,
    full_queue: FullQueue,
    out: &'a mut dyn Write,
    /// Whether to list each event.
    lines: bool,
    done: u64,
    /// How many of them were waiting for a retry.
    made_due: u64,
}

impl Run<'_> {
    async fn named(&mut self, store: &Store) -> Result<ExitStatus, CliError> {
        let mut exit_status = ExitStatus::Success;
        for id in &self.args.webhook_ids {
            let shown = printable::one_line(id);
            match replay::named(store, id).await? {
                NamedEvent::Event(event) => {
                    self.replay(&event).await?;
                    continue;
                }
                NamedEvent::NotAnEvent => {
                    eprintln!("landfall: {shown} is not an event; for objects, use `landfall fetch {shown}`");
                }
                NamedEvent::Unknown => eprintln!("landfall: no event found with ID {shown}"),
            }
            exit_status = ExitStatus::Negative;
        }
        Ok(exit_status)
    }

    async fn filtered(&mut self, store: &Store) -> Result<(), CliError> {
        let Replay { family, state, since, .. } = *self.args;
        let filter = ReplayFilter { project: None, family, state, since };
        let mut selection = EventSelection::now(store, filter).await?;
        let total = selection.count(store).await?;
        if total > FEW && !self.args.yes && !self.args.dry_run {
            return Err(CliError::Usage(format!(
                "this would enqueue {} events again: add --yes to confirm, or --dry-run to list them",
                output::count(total)
            )));
        }
        self.lines = total <= FEW || self.args.dry_run;
        let bar = progress::bar(total, self.lines || self.args.json);
        loop {
            let page = selection.next_page(store).await?;
            if page.is_empty() {
                break;
            }
            for event in &page {
                self.replay(event).await?;
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    async fn replay(&mut self, event: &EventRecord) -> Result<(), CliError> {
        let mut made_due = false;
        if !self.args.dry_run {
            let requeued = self.full_queue.wait_for_room(async || self.requeuer.requeue(event).await).await?;
            made_due = matches!(requeued, Requeued::MadeDue(_));
        }
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
            let line = output::line_with_id(&head, events::id(event), output::width());
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    fn finish(self) -> Result<(), CliError> {
        if self.args.json {
            return Ok(());
        }
        let count = output::counted(self.done, "event");
        if self.args.dry_run {
            writeln!(self.out, "{count} would be enqueued again")?;
        } else if self.done > 0 {
            let waited = match self.made_due {
                0 => String::new(),
                waited => format!(" ({} had been waiting for a retry, now due)", output::count(waited)),
            };
            writeln!(self.out, "{count} enqueued again{waited}; follow them with landfall tail")?;
        } else if self.args.webhook_ids.is_empty() {
            eprintln!("landfall: no events found");
        }
        Ok(())
    }
}
