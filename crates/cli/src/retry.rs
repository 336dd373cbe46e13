//! `landfall retry`: makes delayed events due now, such as after the API key has been fixed.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use queue::{Delayed, QueueAdmin};
use serde::Serialize;
use service::settings::RedisSettings;
use webhook::{Family, Reason};

use crate::exit::{CliError, ExitStatus};
use crate::output::{self, Text};
use crate::{json, progress, queue_client};

/// Entries made due in one step.
const STEP: usize = 500;

const EXAMPLES: &str = "\
Examples:
  landfall retry                    after you fixed the API key or its scopes
  landfall retry --dry-run          only count
  landfall retry --family batch --rate 50
  landfall retry --all              whatever the reason for the wait

Events for which OpenAI rejected the API key (reasons unauthorized, forbidden)
wait up to RETRY_MAX_SECS, half an hour, before their next attempt. This command
makes them due now, and workers retry them within seconds. Their attempts are
kept, and a paused family (429) stays paused. For dead letters, use
`landfall dead redrive`.

Exit codes: 0 success (also when no events are waiting), 2 usage error, 3 Redis
could not be reached.";

/// Retry events now that are waiting for a retry
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Retry {
    /// Retry for any reason, not only events for which OpenAI rejected the API key
    #[arg(long)]
    all: bool,
    /// Only this family: response, batch, fine_tuning, eval, realtime, agent, safety, other
    #[arg(long)]
    family: Option<Family>,
    /// Only count the events
    #[arg(long)]
    dry_run: bool,
    /// Maximum number per second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// Print one JSON object per family and reason: family, reason, dry_run, entries
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    redis: RedisSettings,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line {
    family: Family,
    /// `null` when no attempt has failed and the event was only postponed.
    reason: Option<Reason>,
    dry_run: bool,
    entries: u64,
}

/// Makes delayed entries due.
pub(crate) async fn run(args: &Retry, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let reader = queue_client::reader(&args.redis)?;
    let families = args.family.map_or_else(|| Family::ALL.to_vec(), |family| vec![family]);
    let (mut selected, mut others) = (Vec::new(), 0_u64);
    for family in families {
        for entry in reader.delayed(family).await? {
            if args.all || is_auth_failure(entry.reason) {
                selected.push((family, entry));
            } else {
                others += 1;
            }
        }
    }
    let lines =
        if args.dry_run { count(args, &selected) } else { make_due(args, &reader, &selected).await? };
    if args.json {
        json::write_lines(out, &lines)?;
    } else if !lines.is_empty() {
        write!(out, "{}", table(&lines, output::width()))?;
    }
    report(args, &lines, others);
    if !args.dry_run {
        report_pauses(&reader, &lines).await?;
    }
    Ok(ExitStatus::Success)
}

/// Whether a working API key would help.
fn is_auth_failure(reason: Option<Reason>) -> bool {
    matches!(reason, Some(Reason::Unauthorized | Reason::Forbidden))
}

type Counts = BTreeMap<(Family, Option<Reason>), u64>;

fn count(args: &Retry, selected: &[(Family, Delayed)]) -> Vec<Line> {
    let mut counts = Counts::new();
    for (family, entry) in selected {
        *counts.entry((*family, entry.reason)).or_default() += 1;
    }
    lines(args, counts)
}

fn lines(args: &Retry, counts: Counts) -> Vec<Line> {
    let line = |((family, reason), entries)| Line { family, reason, dry_run: args.dry_run, entries };
    counts.into_iter().map(line).collect()
}

/// Works in steps, to keep Redis responsive and to respect the rate. Entries that have become due in the meantime are not
/// counted.
async fn make_due(
    args: &Retry,
    reader: &QueueAdmin,
    selected: &[(Family, Delayed)],
) -> Result<Vec<Line>, CliError> {
    let step = args.rate.map_or(STEP, |rate| STEP.min(rate as usize));
    let mut limiter =
        args.rate.map(|rate| tokio::time::interval(Duration::from_secs_f64(step as f64 / f64::from(rate))));
    let bar = progress::bar(selected.len() as u64, args.json);
    let mut counts = Counts::new();
    for of_family in selected.chunk_by(|(one, _), (next, _)| one == next) {
        for entries in of_family.chunks(step) {
            if let Some(limiter) = &mut limiter {
                limiter.tick().await;
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

fn report(args: &Retry, lines: &[Line], others: u64) {
    let total: u64 = lines.iter().map(|line| line.entries).sum();
    let events = output::counted(total, "event");
    match (total, args.dry_run) {
        (0, _) if args.all => eprintln!("landfall: no events are waiting for a retry"),
        (0, _) => eprintln!("landfall: no events are waiting because OpenAI rejected the API key"),
        (_, true) => eprintln!("landfall: {events} would be retried now"),
        (_, false) => eprintln!("landfall: {events} due now; workers retry within seconds"),
    }
    if others > 0 {
        let wait = if others == 1 { "event is" } else { "events are" };
        eprintln!(
            "landfall: {} {wait} waiting for another reason; use --all to retry them too",
            output::count(others)
        );
    }
}

/// Reports paused families: their entries are due, but workers wait for the end of the pause.
async fn report_pauses(reader: &QueueAdmin, lines: &[Line]) -> Result<(), CliError> {
    for pause in reader.pauses().await? {
        if lines.iter().any(|line| line.family == pause.family) {
            eprintln!(
                "landfall: family {} is paused for another {} s (429); its events are retried after that",
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
        vec![Text::from(line.family.as_str()), reason.into(), output::count(line.entries).into()]
    };
    output::table("FAMILY | REASON | EVENTS>", lines.iter().map(row), width)
}
