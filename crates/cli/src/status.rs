//! `landfall status`: how much work lies where, per family; from Redis, and from the database when there is one.

use std::collections::BTreeSet;
use std::io::Write;

use chrono::Utc;
use queue::{FamilyStats, Instance, Pause};
use serde::Serialize;
use service::settings::{RedisSettings, StoreSettings};
use store::Import;
use webhook::{EventState, Family, MaybeKnown};

use crate::exit::{Answer, Failure};
use crate::screen;
use crate::{json, moment, printable, queued, stored};

/// All workers together import no more at once, or somebody has a large screen.
const IMPORTS_MAX: u32 = 100;

const EXAMPLES: &str = "\
Examples:
  landfall status
  landfall status --json | jq .total.backlog
  watch landfall status

UNDELIVERED waits for a worker, PENDING is being worked on, DELAYED waits for a
retry; together they are the backlog. DEAD was given up: see `landfall dead
list`. OLDEST is the age of the oldest entry of the backlog, OVERDUE for how
long the next one has been past its turn. A family is paused when OpenAI asked
to wait (429). A program is silent that did not report for 30 seconds. A batch
that is being imported is shown with its rows, its speed since the attempt
began, and the time that is left (- when no worker is alive).

Exit code: 0 done, 3 Redis or the database could not be reached.";

/// What is waiting, running, waiting for a retry and given up, per family
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Status {
    /// One JSON object: total, families, pauses, instances, events, imports
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
    /// Families that all workers leave alone after a 429.
    pauses: Vec<Paused>,
    /// Programs that reported within a day, those that are alive first.
    instances: Vec<Running>,
    /// `null` while there is no database.
    events: Option<Vec<InStore>>,
    /// Batches whose files are being stored; `null` while there is no database.
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
    /// Since its last report; a program that is alive reports every ten seconds.
    silent_secs: u64,
    /// `null` for a program that sends to none.
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

/// What the database tells.
struct Stored {
    events: Vec<InStore>,
    imports: Vec<Importing>,
}

/// Prints the state of queue and store.
pub(crate) async fn run(args: &Status, out: &mut dyn Write) -> Result<Answer, Failure> {
    let reader = queued::reader(&args.redis)?;
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
        return Ok(Answer::Yes);
    }
    write!(out, "{}", queue_table(&families, &total, screen::width()))?;
    write!(out, "{}", pause_lines(&pauses, screen::width()))?;
    write!(out, "\n{}", instance_table(&instances, screen::width()))?;
    // The queue is worth showing even when the database is out of reach.
    match stored? {
        Some(stored) => {
            write!(out, "\n{}", store_table(&stored.events, screen::width()))?;
            if !stored.imports.is_empty() {
                write!(out, "\n{}", import_table(&stored.imports, screen::width()))?;
            }
        }
        None => eprintln!("landfall: no worker has made the database yet"),
    }
    Ok(Answer::Yes)
}

/// Whether an import can be going on: a worker is alive, and a batch is in the hands of one.
fn is_importing(families: &[FamilyStats], instances: &[Running]) -> bool {
    let worker_alive = instances.iter().any(|instance| instance.alive && instance.program == "worker");
    worker_alive && families.iter().any(|family| family.family == Family::Batch && family.pending > 0)
}

/// `importing`: without it no time is left for an import, since nothing moves.
async fn in_database(settings: &StoreSettings, importing: bool) -> Result<Option<Stored>, Failure> {
    let Some(store) = stored::open_if_there(settings).await? else { return Ok(None) };
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

/// A line for each pause; nothing when there is none.
fn pause_lines(pauses: &[Paused], width: u16) -> String {
    let line = |pause: &Paused| {
        let left = moment::span(pause.left_ms.div_ceil(1000).cast_signed());
        let (project, reason) = (printable::one_line(&pause.project), printable::one_line(&pause.reason));
        format!("Paused: {} of project {project} for {left} ({reason})", pause.family)
    };
    let lines = pauses.iter().flat_map(|pause| screen::wrapped(&line(pause), width));
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
        let span = |ms: u64| moment::span((ms / 1000).cast_signed());
        let mut row = vec![name.to_owned()];
        row.extend(counts.map(screen::count));
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
    screen::table("QUEUE | UNDELIVERED> | PENDING> | DELAYED> | DEAD> | OLDEST> | OVERDUE>", rows, width)
}

/// One row for each family that has events.
fn store_table(events: &[InStore], width: u16) -> String {
    let is_other = |event: &&InStore| event.state.known().is_none();
    let has_others = events.iter().any(|event| is_other(&event));
    let mut heads = "EVENTS IN THE DATABASE".to_owned();
    heads.extend(EventState::ALL.iter().map(|state| format!(" | {}>", state.as_str().to_uppercase())));
    if has_others {
        // States of another version; --json has their names.
        heads.push_str(" | OTHER>");
    }
    let row = |name: &str, of: &dyn Fn(&InStore) -> bool| {
        let mut row = vec![name.to_owned()];
        row.extend(EventState::ALL.iter().map(|state| {
            let of_state = events.iter().filter(|event| event.state == *state && of(event));
            screen::count(of_state.map(|event| event.count).sum::<i64>())
        }));
        if has_others {
            let others = events.iter().filter(is_other).filter(|event| of(event));
            row.push(screen::count(others.map(|event| event.count).sum::<i64>()));
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
    screen::table(&heads, rows, width)
}

/// One row for each program; a line when there is none, which is worth a look.
fn instance_table(instances: &[Running], width: u16) -> String {
    if instances.is_empty() {
        return "No program has reported within a day: see landfall doctor\n".to_owned();
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
            moment::span(instance.up_secs.cast_signed()),
            format!("{} ago", moment::span(instance.silent_secs.cast_signed())),
            targets,
            instance.id.clone(),
        ]
    };
    screen::table("PROGRAM | STATE | VERSION | UP> | SEEN> | TARGETS | ID", instances.iter().map(row), width)
}

/// One row for each batch that is being imported.
fn import_table(imports: &[Importing], width: u16) -> String {
    let row = |import: &Importing| {
        vec![
            import.batch_id.clone(),
            screen::count(import.rows_stored),
            import.requests_total.map_or_else(|| "?".to_owned(), screen::count),
            screen::count(import.rows_per_sec as i64),
            import.left_secs.map_or_else(|| "-".to_owned(), |secs| moment::span(secs.cast_signed())),
        ]
    };
    screen::table("IMPORT | ROWS> | OF> | PER SECOND> | LEFT>", imports.iter().map(row), width)
}
