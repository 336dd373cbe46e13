//! `landfall wait`: waits until objects are stored, and prints a line for each as it ends.

use std::collections::HashSet;
use std::io::{IsTerminal as _, Write};
use std::time::Duration;

use error_text::chain;
use indicatif::ProgressBar;
use operations::ObjectId;
use operations::wait::{Ended, Waiter};
use serde::Serialize;
use serde_json::value::RawValue;
use service::settings::{RedisSettings, StoreSettings};
use store::{Found, ResultsState, Store};
use tokio::time::{Instant, sleep, timeout_at};
use webhook::{FinalState, MaybeKnown, Reason};

use crate::exit::{CliError, ExitStatus};
use crate::fetch::MISMATCH;
use crate::{events, json, output, printable, progress, queue_client, store_client, time_format};

/// Interval at which a database that was lost while waiting is tried again.
const DATABASE_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// The state of an object that has not ended.
const WAITING: &str = "waiting";

const EXAMPLES: &str = "\
Examples:
  landfall wait resp_685bd1                 until the response is stored
  landfall wait --timeout 25h batch_685bd1 && landfall export batch_685bd1
  landfall wait --json resp_1 resp_2 | jq -r .object.output_text

Start a response with `background: true`, or a batch, and wait for its ID,
before or after the webhook arrives. Prints a line for each object as it ends:
stored, or the reason why it is lost: not_found, expired, forbidden, or dead (a
dead letter). An object that is lost is waited for again once a new event for
it is in the queue, as after `landfall fetch` or `landfall dead redrive`. A
batch is stored when all lines of its files are, an agent session when the
newest turn that Landfall knows of has ended. A failed job is stored, too: its
status is printed.

Nothing is asked of OpenAI. Workers announce in Redis what they have stored;
without Redis, the database is read once a second.

Exit codes: 0 all are stored, 1 one is lost, or the time is over, 2 usage error,
3 the database could not be reached.";

/// Wait until objects are stored
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Wait {
    /// Object IDs: resp_…, batch_…, ftjob-…, evalrun_…, sess_…
    #[arg(value_name = "ID", required = true)]
    ids: Vec<ObjectId>,
    /// Give up after this time: 90s, 30m, 2h, 1d; without it, there is no limit
    #[arg(long, value_name = "TIME", value_parser = time_format::duration)]
    timeout: Option<Duration>,
    /// Print one JSON object per object: id, kind, state, reason, last_error, object
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
    id: &'a str,
    kind: &'static str,
    state: &'a str,
    /// Why it is lost.
    reason: Option<&'a MaybeKnown<Reason>>,
    last_error: Option<&'a str>,
    /// As `landfall show --json` prints it; `null` when it is not stored.
    object: Option<Box<RawValue>>,
}

/// Waits for the objects.
pub(crate) async fn run(args: &Wait, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let store = store_client::open(&args.store).await?;
    let unique: HashSet<&ObjectId> = args.ids.iter().collect();
    let bar = bar(unique.len() as u64, args.json);
    let mut waiter = Waiter::new(store.clone(), &queue_client::config(&args.redis), args.ids.clone())?;
    let mut report = Report { out, json: args.json, bar: &bar, store: &store, are_all_stored: true };
    let deadline = args.timeout.and_then(|at_most| Instant::now().checked_add(at_most));
    let (mut in_time, mut has_read) = (true, false);
    while in_time && !waiter.waiting().is_empty() {
        match until(deadline, next(&mut waiter, &bar, &mut has_read)).await {
            Some(ended) => {
                for ended in &ended? {
                    report.ended(ended).await?;
                }
            }
            None => in_time = false,
        }
    }
    if !in_time {
        for id in waiter.waiting() {
            report.timed_out(id)?;
        }
    }
    let are_all_stored = in_time && report.are_all_stored;
    bar.finish_and_clear();
    if let (false, Some(at_most)) = (in_time, args.timeout) {
        let left = output::counted(waiter.waiting().len() as u64, "object");
        let span = time_format::span(at_most.as_secs().cast_signed());
        eprintln!("landfall: still waiting for {left} after {span}");
    }
    Ok(if are_all_stored { ExitStatus::Success } else { ExitStatus::Negative })
}

/// `None` when the deadline comes first.
async fn until<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

fn bar(total: u64, hidden: bool) -> ProgressBar {
    let bar = progress::with_template("{spinner} {human_pos} of {human_len} ended, {elapsed}", total, hidden);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// The next objects that have ended. Once the database was read, its outages are waited out.
async fn next(waiter: &mut Waiter, bar: &ProgressBar, has_read: &mut bool) -> Result<Vec<Ended>, CliError> {
    let mut is_reported = false;
    loop {
        match waiter.next().await {
            Ok(ended) => {
                *has_read = true;
                return Ok(ended);
            }
            Err(error) if error.is_retryable() && *has_read => {
                if !std::mem::replace(&mut is_reported, true) {
                    let error = printable::sentence(&chain(&error));
                    bar.suspend(|| eprintln!("landfall: {error}; still trying"));
                }
                sleep(DATABASE_RETRY_INTERVAL).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Prints what became of each object.
struct Report<'w> {
    out: &'w mut dyn Write,
    json: bool,
    bar: &'w ProgressBar,
    store: &'w Store,
    are_all_stored: bool,
}

impl Report<'_> {
    async fn ended(&mut self, ended: &Ended) -> Result<(), CliError> {
        self.are_all_stored &= ended.state == FinalState::Stored;
        let records = self.store.find(ended.id.as_str()).await?;
        let object = records.iter().find(|found| !matches!(found, Found::Event(_)));
        if self.json {
            let line = Line {
                id: ended.id.as_str(),
                kind: ended.id.kind().as_str(),
                state: ended.state.as_str(),
                reason: ended.reason.as_ref(),
                last_error: ended.last_error.as_deref(),
                object: match object {
                    Some(object) => Some(operations::record(self.store, object).await?),
                    None => None,
                },
            };
            return self.json_line(&line);
        }
        let why = match (&ended.reason, object) {
            (Some(reason), _) => Some(events::why(reason, ended.last_error.as_deref())),
            (None, Some(object)) => note(object),
            (None, None) => None,
        };
        // Such as `not_found`, which is also the state.
        let why = why.filter(|why| why != ended.state.as_str());
        self.line(ended.state.as_str(), &ended.id, why.as_deref())
    }

    fn timed_out(&mut self, id: &ObjectId) -> Result<(), CliError> {
        if !self.json {
            return self.line(WAITING, id, None);
        }
        let (reason, last_error, object) = (None, None, None);
        let (id, kind) = (id.as_str(), id.kind().as_str());
        self.json_line(&Line { id, kind, state: WAITING, reason, last_error, object })
    }

    fn json_line(&mut self, line: &Line<'_>) -> Result<(), CliError> {
        json::write_line(self.out, line)?;
        Ok(self.out.flush()?)
    }

    /// At a terminal, lines fit its width; otherwise each object has one line.
    fn line(&mut self, state: &str, id: &ObjectId, why: Option<&str>) -> Result<(), CliError> {
        let head = format!("{state:<9}");
        let text = if std::io::stdout().is_terminal() {
            let why = why.map(|why| format!("\n{}", output::indented_sentence(why, output::width())));
            output::line_with_id(&head, id.as_str(), output::width()) + &why.unwrap_or_default()
        } else {
            let why = why.map(|why| format!("  {}", printable::sentence(why)));
            format!("{head}  {}{}", printable::one_line(id.as_str()), why.unwrap_or_default())
        };
        let out = &mut self.out;
        self.bar.suspend(|| writeln!(out, "{text}"))?;
        self.out.flush()?;
        self.bar.inc(1);
        Ok(())
    }
}

/// What a user should know of a stored object: an end other than success.
fn note(object: &Found) -> Option<String> {
    let status = match object {
        Found::Batch(row) if row.results_state == ResultsState::Mismatch => return Some(MISMATCH.to_owned()),
        Found::Response(response) => response.status.as_deref(),
        Found::Batch(row) => row.batch.status.as_deref(),
        Found::FineTuningJob(job) => job.status.as_deref(),
        Found::EvalRun(run) => run.status.as_deref(),
        Found::AgentSession(session) => session.last_turn_status.as_deref().or(session.status.as_deref()),
        Found::Event(_) | Found::Model(_) | Found::SafetyAlert(_) | Found::AgentTurn(_) | Found::File(_) => {
            None
        }
    };
    let status = status.filter(|status| !["completed", "succeeded"].contains(status))?;
    Some(format!("status {status}"))
}
