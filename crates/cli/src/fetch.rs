//! `landfall fetch`: repairs objects that were not fetched. It enqueues events about them, a worker fetches, and this
//! waits for the outcome.

mod targets;
mod waiting;

use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use chrono::{DateTime, Utc};
use queue::Unsettled;
use serde::Serialize;
use service::settings::{RedisSettings, StoreSettings};
use store::{Found, ResultsState, Store};
use webhook::{Family, FetchState, MaybeKnown};

use crate::again::Again;
use crate::exit::{Answer, Failure};
use crate::{events, json, moment, queued, screen, stored};
use targets::{Cause, Target};
use waiting::Queued;

const MISMATCH: &str = "all that OpenAI has is stored, but it is not one row a request";

/// Of more objects than this, people only see those that are still not fetched.
const FEW: usize = 100;

const EXAMPLES: &str = "\
Examples:
  landfall fetch resp_685bd1         fetch one object, again if need be
  landfall fetch --missing           all that is known and not wholly fetched
  landfall fetch --missing --since 7d
  landfall fetch batch_685bd1 --no-wait

The events that brought an object are enqueued again, or, while they wait for a
retry, tried at once. For an object without an event Landfall makes a thin event
itself; its webhook-id begins with fetch_. A running worker does the fetching,
with its own API key. An object that OpenAI no longer has stays as it is. The
files of a batch are read again when it does not have one row for each request,
or has lines that are no results; a worse file never replaces a better one.

Exit code: 0 all are fetched (with --no-wait: enqueued), 1 not all, 2 wrong use,
3 Redis or the database was not reached.";

/// Fetch objects that were not fetched, or any by its id
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Fetch {
    /// resp_…, batch_…, ftjob-…, evalrun_…
    #[arg(value_name = "ID", required_unless_present = "missing")]
    ids: Vec<String>,
    /// All objects whose fetch_state is not fetched, and batches whose results_state is mismatch, unless their files were
    /// read again since
    #[arg(long, conflicts_with = "ids")]
    missing: bool,
    /// Only those received since then: an age (90s, 30m, 1h, 7d), a day (2026-11-01) or a time in UTC
    #[arg(long, value_name = "WHEN", value_parser = moment::since, requires = "missing", conflicts_with = "ids")]
    since: Option<DateTime<Utc>>,
    /// Only enqueue; do not wait until a worker has fetched them
    #[arg(long)]
    no_wait: bool,
    /// Wait so long at most; what is enqueued by then goes on
    #[arg(long, value_name = "SECS", default_value = "600", value_parser = service::settings::seconds)]
    wait_secs: Duration,
    /// One JSON object an object: object_id, project, family, webhook_id, settled, fetch_state, last_error
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
    object_id: &'a str,
    project: &'a str,
    family: Family,
    webhook_id: &'a str,
    /// Whether a worker has come to an end with it.
    settled: bool,
    /// `null` when nothing of it is stored.
    fetch_state: Option<MaybeKnown<FetchState>>,
    last_error: Option<String>,
}

/// Enqueues events about the objects asked for, and waits.
pub(crate) async fn run(args: &Fetch, out: &mut dyn Write) -> Result<Answer, Failure> {
    let store = stored::open(&args.store).await?;
    let (targets, mut answer) = if args.missing {
        (targets::missing(&store, args.since).await?, Answer::Yes)
    } else {
        targets::named(&store, &args.ids).await?
    };
    if targets.is_empty() {
        if answer == Answer::Yes {
            eprintln!("landfall: nothing is missing");
        }
        return Ok(answer);
    }
    let mut again = Again::new(&args.redis)?;
    let mut queued = Vec::with_capacity(targets.len());
    let bar = waiting::bar(targets.len() as u64, args.json);
    bar.set_message("enqueued");
    for target in targets {
        queued.push(enqueue(&mut again, &store, target).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut report = Report { out, json: args.json, few: queued.len() <= FEW, fetched: 0, total: 0 };
    if args.no_wait {
        for object in &queued {
            report.enqueued(object)?;
        }
        report.finish_enqueued()?;
        return Ok(answer);
    }
    let reader = queued::reader(&args.redis)?;
    let unsettled = waiting::wait(&store, &reader, &queued, (args.wait_secs, args.json)).await?;
    for object in &queued {
        let entry_id = object.entry_id.as_ref();
        let unsettled = entry_id.and_then(|id| unsettled.get(id));
        report.ended(&store, object, unsettled).await?;
    }
    if report.fetched < report.total {
        answer = Answer::No;
    }
    report.finish()?;
    Ok(answer)
}

async fn enqueue(again: &mut Again, store: &Store, target: Target) -> Result<Queued, Failure> {
    let (webhook_id, entry_id) = match target.cause(store).await? {
        Cause::Stored(event) => (event.webhook_id.clone(), again.requeue(&event).await?.into_entry_id()),
        Cause::Made(made) => (made.webhook_id.clone(), again.enqueue_made(target.family, &made).await?),
    };
    Ok(Queued { target, webhook_id, entry_id })
}

/// Prints what became of each object.
struct Report<'w> {
    out: &'w mut dyn Write,
    json: bool,
    few: bool,
    fetched: usize,
    total: usize,
}

impl Report<'_> {
    fn enqueued(&mut self, object: &Queued) -> Result<(), Failure> {
        self.total += 1;
        if self.json {
            return self.line(object, false, None, None);
        }
        if self.few {
            writeln!(
                self.out,
                "{}",
                screen::line_with_id("enqueued", &object.target.object_id, screen::width())
            )?;
        }
        Ok(())
    }

    fn finish_enqueued(self) -> Result<(), Failure> {
        if !self.json {
            let objects = screen::counted(self.total as u64, "object");
            writeln!(self.out, "{objects} enqueued; a worker fetches them, see landfall tail")?;
        }
        Ok(())
    }

    async fn ended(
        &mut self,
        store: &Store,
        object: &Queued,
        unsettled: Option<&Unsettled>,
    ) -> Result<(), Failure> {
        let Target { project, object_id, family } = &object.target;
        let progress = store.fetch_progress(project, *family, object_id).await?;
        let fetch_state = progress.map(|progress| progress.fetch_state);
        let is_fetched = fetch_state.as_ref().is_some_and(|state| *state == FetchState::Fetched);
        let fetched = is_fetched && unsettled.is_none();
        self.total += 1;
        self.fetched += usize::from(fetched);
        let error = match unsettled {
            Some(unsettled) => unsettled.last_error.clone(),
            None if fetched => None,
            None => event_error(store, object).await?,
        };
        if self.json {
            return self.line(object, unsettled.is_none(), fetch_state, error);
        }
        if !self.few && fetched {
            return Ok(());
        }
        let state = match (unsettled, &fetch_state) {
            (Some(_), _) => "waiting",
            _ if fetched && is_mismatch(store, &object.target).await? => "mismatch",
            (None, Some(state)) => state.as_str(),
            (None, None) => "given up",
        };
        let head = format!("{state:<9}");
        writeln!(self.out, "{}", screen::line_with_id(&head, object_id, screen::width()))?;
        let error = if state == "mismatch" { Some(MISMATCH.to_owned()) } else { error };
        if let Some(error) = error.filter(|error| error != state) {
            writeln!(self.out, "{}", screen::indented_sentence(&error, screen::width()))?;
        }
        Ok(())
    }

    fn line(
        &mut self,
        object: &Queued,
        settled: bool,
        fetch_state: Option<MaybeKnown<FetchState>>,
        last_error: Option<String>,
    ) -> Result<(), Failure> {
        let line = Line {
            object_id: &object.target.object_id,
            project: &object.target.project,
            family: object.target.family,
            webhook_id: &object.webhook_id,
            settled,
            fetch_state,
            last_error,
        };
        Ok(json::write_line(self.out, &line)?)
    }

    fn finish(self) -> Result<(), Failure> {
        if !self.json && self.total > 1 {
            let (fetched, total) =
                (screen::count(self.fetched as u64), screen::counted(self.total as u64, "object"));
            writeln!(self.out, "{fetched} of {total} fetched")?;
        }
        Ok(())
    }
}

/// Whether it is a batch that has all rows that OpenAI has, and not one a request.
async fn is_mismatch(store: &Store, target: &Target) -> Result<bool, Failure> {
    if target.family != Family::Batch {
        return Ok(false);
    }
    let found = store.find(&target.object_id).await?;
    Ok(found.iter().any(|found| match found {
        Found::Batch(row) => {
            row.batch.project == target.project && row.results_state == ResultsState::Mismatch
        }
        _ => false,
    }))
}

/// What the event's row says about why less than the whole object is stored.
async fn event_error(store: &Store, object: &Queued) -> Result<Option<String>, Failure> {
    let name = (object.target.project.clone(), object.webhook_id.clone());
    let events: HashMap<String, _> = store
        .events_named(&[name])
        .await?
        .into_iter()
        .map(|event| (event.webhook_id.clone(), event))
        .collect();
    let event = events.get(&object.webhook_id);
    Ok(event.and_then(|event| Some(events::why(event.reason.as_ref()?, event.last_error.as_deref()))))
}
