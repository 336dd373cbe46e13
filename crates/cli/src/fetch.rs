//! `landfall fetch`: repairs objects that were not fetched. Enqueues events about them, which a worker processes, and
//! waits for the results.

mod waiting;

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::time::Duration;

use chrono::{DateTime, Utc};
use operations::fetch::{self, MISSING_MAX, Missing, Named, Target};
use operations::requeue::{Requeuer, random_id};
use queue::Unsettled;
use serde::Serialize;
use service::settings::{RedisSettings, StoreSettings};
use store::{Found, ResultsState, Store};
use webhook::{Family, FetchState, MaybeKnown};

use crate::exit::{CliError, ExitStatus};
use crate::full_queue::FullQueue;
use crate::{events, json, output, printable, queue_client, store_client, time_format};
use waiting::Queued;

const EVALS_ENDED: &str = "OpenAI ended evals on 2026-11-30: only the event is stored";
/// Of a batch whose files do not have one line per request.
pub(crate) const MISMATCH: &str = "all available results are stored, but not one per request";

/// For more objects than this, text output lists only those that are still not fetched.
const FEW: usize = 100;

const EXAMPLES: &str = "\
Examples:
  landfall fetch resp_685bd1         fetch one object, even if it is stored
  landfall fetch --missing           all known objects not fetched completely
  landfall fetch --missing --since 7d
  landfall fetch batch_685bd1 --no-wait

The events about an object are enqueued again, or made due now if they are
waiting for a retry. For an object without an event, Landfall creates a thin
event, whose webhook-id starts with fetch_. A running worker fetches the object
with its API key. An object that OpenAI no longer has is left unchanged. The
files of a batch are read again if they do not have one row per request, or
contain invalid lines; a worse file never replaces a better one.

Exit codes: 0 all fetched (with --no-wait: enqueued), 1 not all fetched, 2 usage
error, 3 Redis or the database could not be reached.";

/// Fetch objects from OpenAI: those that are missing, or any by ID
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Fetch {
    /// Object IDs: resp_…, batch_…, ftjob-…, evalrun_…
    #[arg(value_name = "ID", required_unless_present = "missing")]
    ids: Vec<String>,
    /// All objects whose fetch_state is not fetched, and batches whose results_state is mismatch, unless their files have
    /// been read again since
    #[arg(long, conflicts_with = "ids")]
    missing: bool,
    /// Only objects received since: an age (90s, 30m, 1h, 7d), a date (2026-11-01) or a UTC time
    #[arg(long, value_name = "WHEN", value_parser = time_format::since, requires = "missing", conflicts_with = "ids")]
    since: Option<DateTime<Utc>>,
    /// Only enqueue; do not wait for a worker to fetch the objects
    #[arg(long)]
    no_wait: bool,
    /// Maximum time to wait; enqueued events are processed regardless
    #[arg(long, value_name = "SECS", default_value = "600", value_parser = service::settings::seconds)]
    wait_secs: Duration,
    /// Print one JSON object per object: object_id, project, family, webhook_id, settled, fetch_state, last_error
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
    /// Whether a worker has finished with the event.
    settled: bool,
    /// `null` when the object is not stored.
    fetch_state: Option<MaybeKnown<FetchState>>,
    last_error: Option<String>,
}

/// Enqueues events about the selected objects, and waits for them.
pub(crate) async fn run(args: &Fetch, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let store = store_client::open(&args.store).await?;
    let (targets, mut exit_status) = if args.missing {
        (missing(&store, args.since).await?, ExitStatus::Success)
    } else {
        named(&store, &args.ids).await?
    };
    if targets.is_empty() {
        if exit_status == ExitStatus::Success {
            eprintln!("landfall: no objects are missing");
        }
        return Ok(exit_status);
    }
    let mut requeuer = Requeuer::new(&queue_client::config(&args.redis), random_id())?;
    let mut full_queue = FullQueue::default();
    let mut queued = Vec::with_capacity(targets.len());
    let bar = waiting::bar(targets.len() as u64, args.json);
    bar.set_message("enqueued");
    for target in targets {
        let cause = target.cause(&store).await?;
        let entry_id = full_queue.wait_for_room(async || cause.enqueue(&mut requeuer).await).await?;
        queued.push(Queued { target, webhook_id: cause.webhook_id().to_owned(), entry_id });
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut report = Report { out, json: args.json, few: queued.len() <= FEW, fetched: 0, total: 0 };
    if args.no_wait {
        for object in &queued {
            report.enqueued(object)?;
        }
        report.finish_enqueued()?;
        return Ok(exit_status);
    }
    let reader = queue_client::reader(&args.redis)?;
    let unsettled = waiting::wait(&store, &reader, &queued, (args.wait_secs, args.json)).await?;
    for object in &queued {
        let entry_id = object.entry_id.as_ref();
        let unsettled = entry_id.and_then(|id| unsettled.get(id));
        report.ended(&store, object, unsettled).await?;
    }
    if report.fetched < report.total {
        exit_status = ExitStatus::Negative;
    }
    report.finish()?;
    Ok(exit_status)
}

/// All known objects that were not fetched completely.
async fn missing(store: &Store, since: Option<DateTime<Utc>>) -> Result<Vec<Target>, CliError> {
    let Missing { targets, unknown, may_be_more } = fetch::missing(store, since).await?;
    if may_be_more {
        eprintln!(
            "landfall: fetching the newest {MISSING_MAX} objects; there may be more, so run it again afterwards"
        );
    }
    if unknown > 0 {
        eprintln!(
            "landfall: skipped {unknown} that OpenAI does not know and that no webhook referred to: mistyped IDs?"
        );
    }
    Ok(targets)
}

/// The objects with these ids; [`ExitStatus::Negative`] when one of them cannot be fetched.
async fn named(store: &Store, ids: &[String]) -> Result<(Vec<Target>, ExitStatus), CliError> {
    let (mut targets, mut exit_status) = (Vec::<Target>::new(), ExitStatus::Success);
    for id in ids {
        let shown = printable::one_line(id);
        match fetch::named(store, id).await? {
            Named::Targets(found) => {
                targets.extend(found);
                continue;
            }
            Named::NothingToFetch => {
                eprintln!("landfall: there is nothing to fetch for {shown}: its event contains all of it");
            }
            Named::NotAnObject => eprintln!(
                "landfall: {shown} is not the ID of an object that can be fetched, which starts with resp_, batch_, \
                 ftjob- or evalrun_; for events, use `landfall replay`"
            ),
        }
        exit_status = ExitStatus::Negative;
    }
    let mut seen = HashSet::new();
    targets.retain(|target| seen.insert((target.project.clone(), target.object_id.clone())));
    Ok((targets, exit_status))
}

/// Prints the result for each object.
struct Report<'w> {
    out: &'w mut dyn Write,
    json: bool,
    few: bool,
    fetched: usize,
    total: usize,
}

impl Report<'_> {
    fn enqueued(&mut self, object: &Queued) -> Result<(), CliError> {
        self.total += 1;
        if self.json {
            return self.line(object, false, None, None);
        }
        if self.few {
            writeln!(
                self.out,
                "{}",
                output::line_with_id("enqueued", &object.target.object_id, output::width())
            )?;
        }
        Ok(())
    }

    fn finish_enqueued(self) -> Result<(), CliError> {
        if !self.json {
            let objects = output::counted(self.total as u64, "object");
            writeln!(self.out, "{objects} enqueued for a worker to fetch; follow them with landfall tail")?;
        }
        Ok(())
    }

    async fn ended(
        &mut self,
        store: &Store,
        object: &Queued,
        unsettled: Option<&Unsettled>,
    ) -> Result<(), CliError> {
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
            None => event_error(store, object).await?.or_else(|| {
                let is_without_row = fetch_state.is_none() && *family == Family::Eval;
                is_without_row.then(|| EVALS_ENDED.to_owned())
            }),
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
            (None, None) => "failed",
        };
        let head = format!("{state:<9}");
        writeln!(self.out, "{}", output::line_with_id(&head, object_id, output::width()))?;
        let error = if state == "mismatch" { Some(MISMATCH.to_owned()) } else { error };
        if let Some(error) = error.filter(|error| error != state) {
            writeln!(self.out, "{}", output::indented_sentence(&error, output::width()))?;
        }
        Ok(())
    }

    fn line(
        &mut self,
        object: &Queued,
        settled: bool,
        fetch_state: Option<MaybeKnown<FetchState>>,
        last_error: Option<String>,
    ) -> Result<(), CliError> {
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

    fn finish(self) -> Result<(), CliError> {
        if !self.json && self.total > 1 {
            let (fetched, total) =
                (output::count(self.fetched as u64), output::counted(self.total as u64, "object"));
            writeln!(self.out, "{fetched} of {total} fetched")?;
        }
        Ok(())
    }
}

/// Whether it is a batch whose number of results differs from its number of requests.
async fn is_mismatch(store: &Store, target: &Target) -> Result<bool, CliError> {
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

/// The event's reason why the object is not stored completely.
async fn event_error(store: &Store, object: &Queued) -> Result<Option<String>, CliError> {
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
