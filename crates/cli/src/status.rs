//! `landfall status`: backlog per family from Redis, and events per state from the database if there is one.

use std::collections::BTreeSet;
use std::io::Write;

use chrono::Utc;
use queue::{FamilyStats, Instance, Pause};
use serde::Serialize;
use service::settings::{RedisSettings, StoreSettings};
use store::Import;
use webhook::{EventState, Family, MaybeKnown};

use crate::exit::{CliError, ExitStatus};
use crate::output;
use crate::{json, printable, queue_client, store_client, time_format};

/// More than all workers together import at a time.
const IMPORTS_MAX: u32 = 100;

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
    total: Total,
    families: Vec<FamilyStats>,
    /// Families that all workers have paused after a 429.
    pauses: Vec<Paused>,
    /// Programs with a heartbeat within a day, live ones first.
    instances: Vec<Running>,
    /// `null` if there is no database yet.
    events: Option<Vec<InStore>>,
    /// Batches that are being imported; `null` if there is no database yet.
    imports: Option<Vec<Importing>>,
}

#[derive(Serialize)]
struct Total {
    /// Undelivered, pending and delayed.
    backlog: u64,
    undelivered: u64,
    pending: u64,
    delayed: u64,
    dead: u64,
    oldest_ms: Option<u64>,
    overdue_ms: u64,
}

#[derive(Serialize)]
struct Paused {
    project: String,
    family: Family,
    reason: String,
    left_ms: u64,
}

#[derive(Serialize)]
struct Running {
    id: String,
    program: String,
    version: String,
    host: String,
    alive: bool,
    up_secs: u64,
    /// Time since the last heartbeat; live programs send one every ten seconds.
    silent_secs: u64,
    /// `null` for a program that sends no notifications.
    targets: Option<Vec<String>>,
}

#[derive(Serialize)]
struct InStore {
    family: MaybeKnown<Family>,
    state: MaybeKnown<EventState>,
    count: i64,
}

#[derive(Serialize)]
struct Importing {
    project: String,
    batch_id: String,
    rows_stored: i64,
    requests_total: Option<i64>,
    rows_per_sec: f64,
    left_secs: Option<u64>,
}

/// The data from the database.
struct Stored {
    events: Vec<InStore>,
    imports: Vec<Importing>,
}

/// Prints the state of the queue and of the store.
pub(crate) async fn run(args: &Status, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let reader = queue_client::reader(&args.redis)?;
    let families = reader.stats().await?;
    let total = total(&families);
    let pauses: Vec<Paused> = reader.pauses().await?.into_iter().map(paused).collect();
    let instances: Vec<Running> = reader.instances().await?.into_iter().map(running).collect();
    let importing = is_importing(&families, &instances);
    let stored = in_database(&args.store, importing).await;
    if args.json {
        let (events, imports) = stored?.map(|stored| (stored.events, stored.imports)).unzip();
        let report = Report { total, families, pauses, instances, events, imports };
        json::write_line(out, &report)?;
        return Ok(ExitStatus::Success);
    }
    write!(out, "{}", queue_table(&families, &total, output::width()))?;
    write!(out, "{}", pause_lines(&pauses, output::width()))?;
    write!(out, "\n{}", instance_table(&instances, output::width()))?;
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

/// Whether an import can be running: a worker is alive and a batch entry is pending.
fn is_importing(families: &[FamilyStats], instances: &[Running]) -> bool {
    let worker_alive = instances.iter().any(|instance| instance.alive && instance.program == "worker");
    worker_alive && families.iter().any(|family| family.family == Family::Batch && family.pending > 0)
}

/// Imports get a time left only if `importing`.
async fn in_database(settings: &StoreSettings, importing: bool) -> Result<Option<Stored>, CliError> {
    let Some(store) = store_client::open_if_there(settings).await? else { return Ok(None) };
    let counts = store.count_events().await?;
    let in_store = |(family, state, count)| InStore { family, state, count };
    let now = Utc::now();
    let imports = store.imports(IMPORTS_MAX).await?;
    let importing = |import: Import| Importing {
        rows_per_sec: import.rows_per_sec(now),
        left_secs: import.left(now).filter(|_| importing).map(|left| left.as_secs()),
        project: import.project,
        batch_id: import.batch_id,
        rows_stored: import.rows_stored,
        requests_total: import.requests_total,
    };
    Ok(Some(Stored {
        events: counts.into_iter().map(in_store).collect(),
        imports: imports.into_iter().map(importing).collect(),
    }))
}

fn paused(pause: Pause) -> Paused {
    let left_ms = u64::try_from(pause.left.as_millis()).unwrap_or(u64::MAX);
    Paused { project: pause.project, family: pause.family, reason: pause.reason, left_ms }
}

fn running(instance: Instance) -> Running {
    Running {
        alive: instance.is_alive(),
        up_secs: instance.up.as_secs(),
        silent_secs: instance.silent.as_secs(),
        id: instance.id,
        program: instance.info.program,
        version: instance.info.version,
        host: instance.info.host,
        targets: instance.info.targets.map(|targets| targets.names),
    }
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

fn total(families: &[FamilyStats]) -> Total {
    let sum = |count: fn(&FamilyStats) -> u64| families.iter().map(count).sum::<u64>();
    let (undelivered, pending, delayed) =
        (sum(|family| family.undelivered), sum(|family| family.pending), sum(|family| family.delayed));
    Total {
        backlog: undelivered + pending + delayed,
        undelivered,
        pending,
        delayed,
        dead: sum(|family| family.dead),
        oldest_ms: families.iter().filter_map(|family| family.oldest_ms).max(),
        overdue_ms: families.iter().map(|family| family.overdue_ms).max().unwrap_or(0),
    }
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
fn store_table(events: &[InStore], width: u16) -> String {
    let is_other = |event: &&InStore| event.state.known().is_none();
    let has_others = events.iter().any(|event| is_other(&event));
    let mut heads = "EVENTS IN THE DATABASE".to_owned();
    heads.extend(EventState::ALL.iter().map(|state| format!(" | {}>", state.as_str().to_uppercase())));
    if has_others {
        // States of another version; --json prints their names.
        heads.push_str(" | OTHER>");
    }
    let row = |name: &str, of: &dyn Fn(&InStore) -> bool| {
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
