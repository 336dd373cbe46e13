//! `landfall prune`: retention. Takes away what is old, files and rows together, step by step.

use std::io::Write;

use chrono::{DateTime, Utc};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde::Serialize;
use service::settings::StoreSettings;
use store::{Pruned, Retention, Store};
use webhook::Family;

use crate::exit::{Answer, Failure};
use crate::screen::{self, Column};
use crate::{json, moment, stored};

const EXAMPLES: &str = "\
Examples:
  landfall prune --older-than 90d --dry-run     what would go?
  landfall prune --older-than 90d
  landfall prune --older-than 30d --family batch

What was received before goes: responses, batches with their results, jobs with
their models and metrics, eval runs, their raw files, and events that are stored
or dead with their notifications. What a waiting or a newer event is about, or a
notification that is still to be sent, stays, and so does a batch that is being
imported. The newest event always stays.

It works in small steps beside running workers, and may be interrupted at any
time: the next run goes on. SQLite uses the room anew, but the file does not
become smaller; sqlite3 landfall.db VACUUM does that, while no worker runs.

Exit code: 0 done, 2 wrong use, 3 the database or the files were not reached.";

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
        let prunable = store.prunable(&retention).await.map_err(stored::failure)?;
        let pruned = if args.dry_run { prunable } else { prune(&store, &retention, &prunable).await? };
        lines.push(Line { family, before: args.older_than, dry_run: args.dry_run, pruned });
    }
    if args.json {
        for line in &lines {
            json::write_line(out, line)?;
        }
        return Ok(Answer::Yes);
    }
    write!(out, "{}", table(&lines))?;
    let (what, before) = (if args.dry_run { "would go" } else { "went" }, moment::utc(args.older_than));
    writeln!(out, "received before {before} UTC: what {what}")?;
    Ok(Answer::Yes)
}

async fn prune(store: &Store, retention: &Retention, prunable: &Pruned) -> Result<Pruned, Failure> {
    let rows = |pruned: &Pruned| pruned.objects + pruned.results + pruned.events;
    let style = format!("{:<12} {{bar:30}} {{human_pos}}/{{human_len}} rows  {{eta}} left", retention.family);
    let style = ProgressStyle::with_template(&style).expect("the template is well-formed");
    // Drawn on stderr, and only when that is a terminal.
    let bar = ProgressBar::new(rows(prunable)).with_style(style);
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
    let columns = [
        Column::Text("FAMILY"),
        Column::Count("OBJECTS"),
        Column::Count("RESULTS"),
        Column::Count("EVENTS"),
        Column::Count("NOTIFICATIONS"),
        Column::Count("FILES"),
        Column::Count("BYTES"),
    ];
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
    screen::table(&columns, rows, screen::width())
}
