//! `landfall status`: backlog per family from Redis, and events per state from the database if there is one.

use std::collections::BTreeSet;
use std::io::Write;

use operations::status::{EventCount, Importing, Paused, QueueStatus, Running, StoreStatus, Total};
use queue::FamilyStats;
use serde::Serialize;
use service::settings::{RedisSettings, StoreSettings};
use webhook::{EventState, Family, MaybeKnown};

use crate::exit::{CliError, ExitStatus};
use crate::output;
use crate::{json, printable, queue_client, store_client, time_format};

const EXAMPLES: &str = "\
Examples:
  landfall status
  landfall status --json | jq .total.backlog
  watch landfall status

UNDELIVERED entries wait for a worker, PENDING entries are being processed,
DELAYED entries wait for a retry; together they are the backlog. DEAD counts
dead letters: see `landfall dead list`. OLDEST is the age of the oldest entry of
the backlog, OVERDUE is how long the next entry has been due. A family is paused
after OpenAI returned 429. A program without a heartbeat for 30 seconds is
silent. Imports are shown with their rows, the rate of the current attempt and
the time left (- if no worker is alive).

Exit codes: 0 success, 3 Redis or the database could not be reached.";

/// Show backlog, retries, dead letters, programs and imports
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Status {
    /// Print one JSON object: total, families, pauses, instances, events, imports
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    redis: RedisSettings,
    #[command(flatten)]
    store: StoreSettings,
}

/// `--json`.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    queue: QueueStatus,
    /// `null` if there is no database yet.
    events: Option<Vec<EventCount>>,
    /// Batches that are being imported; `null` if there is no database yet.
    imports: Option<Vec<Importing>>,
}

/// Prints the state of the queue and of the store.
pub(crate) async fn run(args: &Status, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let queue = QueueStatus::read(&queue_client::reader(&args.redis)?).await?;
    let stored = in_database(&args.store, queue.is_importing()).await;
    if args.json {
        let (events, imports) = stored?.map(|stored| (stored.events, stored.imports)).unzip();
        json::write_line(out, &Report { queue, events, imports })?;
        return Ok(ExitStatus::Success);
    }
    write!(out, "{}", queue_table(&queue.families, &queue.total, output::width()))?;
    write!(out, "{}", pause_lines(&queue.pauses, output::width()))?;
    write!(out, "\n{}", instance_table(&queue.instances, output::width()))?;
    // The queue is shown even if the database cannot be reached.
    match stored? {
        Some(stored) => {
            write!(out, "\n{}", store_table(&stored.events, output::width()))?;
            if !stored.imports.is_empty() {
                write!(out, "\n{}", import_table(&stored.imports, output::width()))?;
            }
        }
        None => eprintln!("landfall: there is no database yet; a worker creates it when it starts"),
    }
    Ok(ExitStatus::Success)
}

async fn in_database(settings: &StoreSettings, is_importing: bool) -> Result<Option<StoreStatus>, CliError> {
    let Some(store) = store_client::open_if_there(settings).await? else { return Ok(None) };
    Ok(Some(StoreStatus::read(&store, is_importing).await?))
}

/// One line per pause.
fn pause_lines(pauses: &[Paused], width: u16) -> String {
    let line = |pause: &Paused| {
        let left = time_format::span(pause.left_ms.div_ceil(1000).cast_signed());
        let (project, reason) = (printable::one_line(&pause.project), printable::one_line(&pause.reason));
        format!("Paused: {} of project {project} for {left} ({reason})", pause.family)
    };
    let lines = pauses.iter().flat_map(|pause| output::wrapped(&line(pause), width));
    lines.map(|line| line + "\n").collect()
}

fn queue_table(families: &[FamilyStats], total: &Total, width: u16) -> String {
    let row = |name: &str, counts: [u64; 4], (oldest_ms, overdue_ms): (Option<u64>, u64)| {
        let span = |ms: u64| time_format::span((ms / 1000).cast_signed());
        let mut row = vec![name.to_owned()];
        row.extend(counts.map(output::count));
        row.push(oldest_ms.map_or_else(|| "-".to_owned(), span));
        row.push(if overdue_ms < 1000 { "-".to_owned() } else { span(overdue_ms) });
        row
    };
    let mut rows: Vec<Vec<String>> = families
        .iter()
        .map(|family| {
            let counts = [family.undelivered, family.pending, family.delayed, family.dead];
            row(family.family.as_str(), counts, (family.oldest_ms, family.overdue_ms))
        })
        .collect();
    let counts = [total.undelivered, total.pending, total.delayed, total.dead];
    rows.push(row("total", counts, (total.oldest_ms, total.overdue_ms)));
    output::table("QUEUE | UNDELIVERED> | PENDING> | DELAYED> | DEAD> | OLDEST> | OVERDUE>", rows, width)
}

/// One row per family that has events.
fn store_table(events: &[EventCount], width: u16) -> String {
    let is_other = |event: &&EventCount| event.state.known().is_none();
    let has_others = events.iter().any(|event| is_other(&event));
    let mut heads = "EVENTS IN THE DATABASE".to_owned();
    heads.extend(EventState::ALL.iter().map(|state| format!(" | {}>", state.as_str().to_uppercase())));
    if has_others {
        // States of another version; --json prints their names.
        heads.push_str(" | OTHER>");
    }
    let row = |name: &str, of: &dyn Fn(&EventCount) -> bool| {
        let mut row = vec![name.to_owned()];
        row.extend(EventState::ALL.iter().map(|state| {
            let of_state = events.iter().filter(|event| event.state == *state && of(event));
            output::count(of_state.map(|event| event.count).sum::<i64>())
        }));
        if has_others {
            let others = events.iter().filter(is_other).filter(|event| of(event));
            row.push(output::count(others.map(|event| event.count).sum::<i64>()));
        }
        row
    };
    let known = Family::ALL.iter().map(|family| MaybeKnown::from(*family));
    let unknown: BTreeSet<_> =
        events.iter().map(|event| &event.family).filter(|family| family.known().is_none()).collect();
    let families = known.chain(unknown.into_iter().cloned());
    let families = families.filter(|family| events.iter().any(|event| event.family == *family));
    let mut rows: Vec<Vec<String>> =
        families.map(|family| row(family.as_str(), &|event| event.family == family)).collect();
    rows.push(row("total", &|_| true));
    output::table(&heads, rows, width)
}

/// One row per program, or a message when there are none.
fn instance_table(instances: &[Running], width: u16) -> String {
    if instances.is_empty() {
        return "No program has reported within a day; run landfall doctor\n".to_owned();
    }
    let row = |instance: &Running| {
        let targets = match instance.targets.as_deref() {
            None => "-".to_owned(),
            Some([]) => "none".to_owned(),
            Some(names) => names.join(", "),
        };
        vec![
            instance.program.clone(),
            if instance.alive { "alive" } else { "silent" }.to_owned(),
            instance.version.clone(),
            time_format::span(instance.up_secs.cast_signed()),
            format!("{} ago", time_format::span(instance.silent_secs.cast_signed())),
            targets,
            instance.id.clone(),
        ]
    };
    output::table("PROGRAM | STATE | VERSION | UP> | SEEN> | TARGETS | ID", instances.iter().map(row), width)
}

/// One row per batch that is being imported.
fn import_table(imports: &[Importing], width: u16) -> String {
    let row = |import: &Importing| {
        vec![
            import.batch_id.clone(),
            output::count(import.rows_stored),
            import.requests_total.map_or_else(|| "?".to_owned(), output::count),
            output::count(import.rows_per_sec as i64),
            import.left_secs.map_or_else(|| "-".to_owned(), |secs| time_format::span(secs.cast_signed())),
        ]
    };
    output::table("IMPORT | ROWS> | OF> | PER SECOND> | LEFT>", imports.iter().map(row), width)
}
