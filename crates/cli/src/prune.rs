//! `landfall prune`: retention. Deletes old rows and their files in small steps.

use std::io::{IsTerminal as _, Write};

use chrono::{DateTime, Utc};
use indicatif::HumanBytes;
use serde::Serialize;
use service::settings::StoreSettings;
use store::{Pruned, Retention, Store};
use webhook::Family;

use crate::exit::{CliError, ExitStatus};
use crate::output;
use crate::{confirm, json, progress, store_client, time_format};

const EXAMPLES: &str = "\
Examples:
  landfall prune --older-than 90d --dry-run     only count
  landfall prune --older-than 90d
  landfall prune --older-than 30d --family batch
  landfall prune --older-than 90d --yes         in a script, such as a cron job

Deletes what was received before the given time: responses, batches with their
results and inputs, jobs with their models and metrics, eval runs, their raw
files, and stored or dead events with their notifications. It keeps objects that
a waiting or newer event refers to, objects and events with pending
notifications, batches that are being imported, and the newest event.

To delete more than 100 rows, type their number when prompted. Without a
terminal, such as in a script, --yes is required.

Rows are deleted in small steps while workers run. You can interrupt it at any
time; the next run continues. SQLite reuses the space, but its file does not
shrink: to shrink it, stop the workers and run `sqlite3 landfall.db VACUUM`.

Exit codes: 0 success, 1 not confirmed, 2 usage error, or no terminal and no
--yes, 3 the database or the files could not be reached.";

/// Delete old rows and their files
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Prune {
    /// Delete what was received before: an age (30d, 12w), a date (2026-11-01) or a UTC time
    #[arg(long, value_name = "AGE", value_parser = time_format::since)]
    older_than: DateTime<Utc>,
    /// Only this family: response, batch, fine_tuning, eval, realtime, agent, safety, other
    #[arg(long)]
    family: Option<Family>,
    /// Only count what would be deleted
    #[arg(long)]
    dry_run: bool,
    /// Delete without a prompt; required when there is no terminal
    #[arg(long)]
    yes: bool,
    /// Print one JSON object per family: family, before, dry_run, objects, results, inputs, events,
    /// notifications, files, file_bytes
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
pub(crate) async fn run(args: &Prune, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let store = store_client::open(&args.store).await?;
    let families = args.family.map_or_else(|| Family::ALL.to_vec(), |family| vec![family]);
    let mut lines = Vec::new();
    for family in families {
        let retention = Retention { family, before: args.older_than };
        let pruned = store.prunable(&retention).await?;
        lines.push(Line { family, before: args.older_than, dry_run: args.dry_run, pruned });
    }
    if !args.dry_run {
        if !confirmed(&lines, args.yes)? {
            return Ok(ExitStatus::Negative);
        }
        for line in &mut lines {
            let retention = Retention { family: line.family, before: args.older_than };
            line.pruned = prune(&store, &retention, &line.pruned).await?;
        }
    }
    if args.json {
        json::write_lines(out, &lines)?;
        return Ok(ExitStatus::Success);
    }
    write!(out, "{}", table(&lines))?;
    let (what, before) =
        (if args.dry_run { "would be deleted" } else { "deleted" }, time_format::utc(args.older_than));
    writeln!(out, "{what}: rows and files received before {before} UTC")?;
    Ok(ExitStatus::Success)
}

/// Asks for confirmation, after printing what would be deleted.
fn confirmed(lines: &[Line], yes: bool) -> Result<bool, CliError> {
    let rows: u64 = lines.iter().map(|line| rows(&line.pruned)).sum();
    if rows > confirm::FEW && !yes && std::io::stderr().is_terminal() {
        eprint!("{}", table(lines));
    }
    confirm::deletion(rows, "rows and their files", yes)
}

fn rows(pruned: &Pruned) -> u64 {
    pruned.objects + pruned.results + pruned.inputs + pruned.events + pruned.notifications
}

async fn prune(store: &Store, retention: &Retention, prunable: &Pruned) -> Result<Pruned, CliError> {
    let template =
        format!("{:<12} {{bar:30}} {{human_pos}}/{{human_len}} rows  {{eta}} left", retention.family);
    let bar = progress::with_template(&template, rows(prunable), false);
    let mut pruned = Pruned::default();
    let done = store.prune(retention, |step| {
        pruned.add(step);
        bar.set_position(rows(&pruned));
    });
    // Deleted rows stay deleted; another run continues.
    done.await.map_err(|error| {
        CliError::unreachable("pruning stopped before the end; run it again to continue", error)
    })?;
    bar.finish_and_clear();
    Ok(pruned)
}

fn table(lines: &[Line]) -> String {
    let row = |name: &str, pruned: &Pruned| {
        let lines = pruned.results + pruned.inputs;
        let counts =
            [pruned.objects, lines, pruned.events, pruned.notifications, pruned.files].map(output::count);
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
    output::table(
        "FAMILY | OBJECTS> | LINES> | EVENTS> | NOTIFICATIONS> | FILES> | BYTES>",
        rows,
        output::width(),
    )
}
