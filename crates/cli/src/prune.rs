//! `landfall prune`: retention. Takes away what is old, files and rows together, step by step.

use std::io::{IsTerminal as _, Write};

use chrono::{DateTime, Utc};
use indicatif::HumanBytes;
use serde::Serialize;
use service::settings::StoreSettings;
use store::{Pruned, Retention, Store};
use webhook::Family;

use crate::exit::{Answer, Failure};
use crate::screen;
use crate::{confirm, json, moment, progress, stored};

const EXAMPLES: &str = "\
Examples:
  landfall prune --older-than 90d --dry-run     what would go?
  landfall prune --older-than 90d
  landfall prune --older-than 30d --family batch
  landfall prune --older-than 90d --yes         in a script, such as cron's

What was received before goes: responses, batches with their results, jobs with
their models and metrics, eval runs, their raw files, and events that are stored
or dead with their notifications. What a waiting or a newer event is about, or a
notification that is still to be sent, stays, and so does a batch that is being
imported. The newest event always stays.

More than 100 rows go only after their number was typed. Without a terminal,
such as in a script, it needs --yes.

It works in small steps beside running workers, and may be interrupted at any
time: the next run goes on. SQLite uses the room anew, but the file does not
become smaller; sqlite3 landfall.db VACUUM does that, while no worker runs.

Exit code: 0 done, 1 not confirmed, 2 wrong use or neither a terminal nor --yes,
3 the database or the files were not reached.";

/// Delete what is older than some days, files and rows together
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Prune {
    /// An age (30d, 12w), a day (2026-11-01) or a time in UTC
    #[arg(long, value_name = "AGE", value_parser = moment::since)]
    older_than: DateTime<Utc>,
    /// Only of this family: response, batch, fine_tuning, eval, realtime, agent, safety, other
    #[arg(long)]
    family: Option<Family>,
    /// Only count
    #[arg(long)]
    dry_run: bool,
    /// Delete without a question; needed where there is no terminal to ask at
    #[arg(long)]
    yes: bool,
    /// One JSON object a family: family, before, dry_run, objects, results, events, notifications,
    /// files, file_bytes
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreSettings,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line {
    family: Family,
    before: DateTime<Utc>,
    dry_run: bool,
    #[serde(flatten)]
    pruned: Pruned,
}

/// Deletes, or counts what would be deleted.
pub(crate) async fn run(args: &Prune, out: &mut dyn Write) -> Result<Answer, Failure> {
    let store = stored::open(&args.store).await?;
    let families = args.family.map_or_else(|| Family::ALL.to_vec(), |family| vec![family]);
    let mut lines = Vec::new();
    for family in families {
        let retention = Retention { family, before: args.older_than };
        let pruned = store.prunable(&retention).await?;
        lines.push(Line { family, before: args.older_than, dry_run: args.dry_run, pruned });
    }
    if !args.dry_run {
        if !confirmed(&lines, args.yes)? {
            return Ok(Answer::No);
        }
        for line in &mut lines {
            let retention = Retention { family: line.family, before: args.older_than };
            line.pruned = prune(&store, &retention, &line.pruned).await?;
        }
    }
    if args.json {
        json::write_lines(out, &lines)?;
        return Ok(Answer::Yes);
    }
    write!(out, "{}", table(&lines))?;
    let (what, before) = (if args.dry_run { "would go" } else { "went" }, moment::utc(args.older_than));
    writeln!(out, "received before {before} UTC: what {what}")?;
    Ok(Answer::Yes)
}

/// Whether to go on; who is asked sees what would go.
fn confirmed(lines: &[Line], yes: bool) -> Result<bool, Failure> {
    let rows: u64 = lines.iter().map(|line| rows(&line.pruned)).sum();
    if rows > confirm::FEW && !yes && std::io::stderr().is_terminal() {
        eprint!("{}", table(lines));
    }
    confirm::deletion(rows, "rows, with their files,", yes)
}

fn rows(pruned: &Pruned) -> u64 {
    pruned.objects + pruned.results + pruned.events + pruned.notifications
}

async fn prune(store: &Store, retention: &Retention, prunable: &Pruned) -> Result<Pruned, Failure> {
    let template =
        format!("{:<12} {{bar:30}} {{human_pos}}/{{human_len}} rows  {{eta}} left", retention.family);
    let bar = progress::with_template(&template, rows(prunable), false);
    let mut pruned = Pruned::default();
    let done = store.prune(retention, |step| {
        pruned.add(step);
        bar.set_position(rows(&pruned));
    });
    // What went already is gone; another run goes on.
    done.await.map_err(|error| Failure::unreachable("could not prune all", error))?;
    bar.finish_and_clear();
    Ok(pruned)
}

fn table(lines: &[Line]) -> String {
    let row = |name: &str, pruned: &Pruned| {
        let counts = [pruned.objects, pruned.results, pruned.events, pruned.notifications, pruned.files]
            .map(screen::count);
        let mut row = vec![name.to_owned()];
        row.extend(counts);
        row.push(HumanBytes(pruned.file_bytes).to_string());
        row
    };
    let mut total = Pruned::default();
    let mut rows = Vec::new();
    for line in lines {
        rows.push(row(line.family.as_str(), &line.pruned));
        total.add(&line.pruned);
    }
    if lines.len() > 1 {
        rows.push(row("all", &total));
    }
    screen::table(
        "FAMILY | OBJECTS> | RESULTS> | EVENTS> | NOTIFICATIONS> | FILES> | BYTES>",
        rows,
        screen::width(),
    )
}
