//! `landfall retry`: ends the wait of events that wait for their retry, such as after the API key was mended.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use queue::{Delayed, QueueAdmin};
use serde::Serialize;
use service::settings::RedisSettings;
use webhook::{Family, Reason};

use crate::exit::{Answer, Failure};
use crate::screen::{self, Text};
use crate::{json, progress, queued};

/// Entries made due in one step.
const STEP: usize = 500;

const EXAMPLES: &str = "\
Examples:
  landfall retry                    the API key, or its rights, were mended
  landfall retry --dry-run          how many would be tried?
  landfall retry --family batch --rate 50
  landfall retry --all              whatever they wait for

Events that OpenAI refused because of the key (reasons unauthorized, forbidden)
wait for up to RETRY_MAX_SECS, half an hour. This makes them due now: workers
try them within seconds. Their attempts stay as they are, and a family that is
paused (429) stays paused. Events that were given up: `landfall dead redrive`.

Exit code: 0 done (also when none waits), 2 wrong use, 3 Redis could not be
reached.";

/// Try events that wait for a retry again, at once
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Retry {
    /// Whatever they wait for, not only those whose API key was refused
    #[arg(long)]
    all: bool,
    /// Only of this family: response, batch, fine_tuning, eval, realtime, agent, safety, other
    #[arg(long)]
    family: Option<Family>,
    /// Only count
    #[arg(long)]
    dry_run: bool,
    /// At most so many a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// One JSON object a family and reason: family, reason, dry_run, entries
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    redis: RedisSettings,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line {
    family: Family,
    /// `null` when no attempt failed: it was only put off.
    reason: Option<Reason>,
    dry_run: bool,
    entries: u64,
}

/// Makes waiting entries due.
pub(crate) async fn run(args: &Retry, out: &mut dyn Write) -> Result<Answer, Failure> {
    let reader = queued::reader(&args.redis)?;
    let families = args.family.map_or_else(|| Family::ALL.to_vec(), |family| vec![family]);
    let (mut chosen, mut others) = (Vec::new(), 0_u64);
    for family in families {
        for entry in reader.delayed(family).await? {
            if args.all || is_of_key(entry.reason) {
                chosen.push((family, entry));
            } else {
                others += 1;
            }
        }
    }
    let lines = if args.dry_run { count(args, &chosen) } else { make_due(args, &reader, &chosen).await? };
    if args.json {
        json::write_lines(out, &lines)?;
    } else if !lines.is_empty() {
        write!(out, "{}", table(&lines, screen::width()))?;
    }
    say(args, &lines, others);
    if !args.dry_run {
        say_paused(&reader, &lines).await?;
    }
    Ok(Answer::Yes)
}

/// What a mended API key can help.
fn is_of_key(reason: Option<Reason>) -> bool {
    matches!(reason, Some(Reason::Unauthorized | Reason::Forbidden))
}

type Counts = BTreeMap<(Family, Option<Reason>), u64>;

fn count(args: &Retry, chosen: &[(Family, Delayed)]) -> Vec<Line> {
    let mut counts = Counts::new();
    for (family, entry) in chosen {
        *counts.entry((*family, entry.reason)).or_default() += 1;
    }
    lines(args, counts)
}

fn lines(args: &Retry, counts: Counts) -> Vec<Line> {
    let line = |((family, reason), entries)| Line { family, reason, dry_run: args.dry_run, entries };
    counts.into_iter().map(line).collect()
}

/// Step by step, so that Redis has time for others, and OpenAI's limits are kept. What was taken meanwhile is not
/// counted: it is tried already.
async fn make_due(
    args: &Retry,
    reader: &QueueAdmin,
    chosen: &[(Family, Delayed)],
) -> Result<Vec<Line>, Failure> {
    let step = args.rate.map_or(STEP, |rate| STEP.min(rate as usize));
    let mut pace =
        args.rate.map(|rate| tokio::time::interval(Duration::from_secs_f64(step as f64 / f64::from(rate))));
    let bar = progress::bar(chosen.len() as u64, args.json);
    let mut counts = Counts::new();
    for of_family in chosen.chunk_by(|(one, _), (next, _)| one == next) {
        for entries in of_family.chunks(step) {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            let family = of_family[0].0;
            let reasons: BTreeMap<&str, Option<Reason>> =
                entries.iter().map(|(_, entry)| (entry.entry_id.as_str(), entry.reason)).collect();
            let ids: Vec<String> = entries.iter().map(|(_, entry)| entry.entry_id.clone()).collect();
            for id in reader.make_due(family, &ids).await? {
                let reason = reasons.get(id.as_str()).copied().flatten();
                *counts.entry((family, reason)).or_default() += 1;
            }
            bar.inc(entries.len() as u64);
        }
    }
    bar.finish_and_clear();
    Ok(lines(args, counts))
}

fn say(args: &Retry, lines: &[Line], others: u64) {
    let total: u64 = lines.iter().map(|line| line.entries).sum();
    let events = screen::counted(total, "event");
    match (total, args.dry_run) {
        (0, _) if args.all => eprintln!("landfall: no event waits for a retry"),
        (0, _) => eprintln!("landfall: no event waits because OpenAI refused the API key"),
        (_, true) => eprintln!("landfall: {events} would be tried now"),
        (_, false) => eprintln!("landfall: {events} due now: workers try them within seconds"),
    }
    if others > 0 {
        let wait = if others == 1 { "event waits" } else { "events wait" };
        eprintln!("landfall: {} {wait} for another reason: --all", screen::count(others));
    }
}

/// Their entries are due, but no worker takes them yet.
async fn say_paused(reader: &QueueAdmin, lines: &[Line]) -> Result<(), Failure> {
    for pause in reader.pauses().await? {
        if lines.iter().any(|line| line.family == pause.family) {
            eprintln!(
                "landfall: family {} is paused for {} s more (429); they are tried after it",
                pause.family,
                pause.left.as_secs().max(1)
            );
        }
    }
    Ok(())
}

fn table(lines: &[Line], width: u16) -> String {
    let row = |line: &Line| {
        let reason = line.reason.map_or("-", Reason::as_str);
        vec![Text::from(line.family.as_str()), reason.into(), screen::count(line.entries).into()]
    };
    screen::table("FAMILY | REASON | EVENTS>", lines.iter().map(row), width)
}
