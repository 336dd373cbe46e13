//! Waits until workers have finished the enqueued events, and shows their progress.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use chrono::Utc;
use indicatif::ProgressBar;
use operations::fetch::Target;
use queue::{QueueAdmin, Unsettled};
use store::Store;
use webhook::Family;

use crate::exit::CliError;
use crate::{output, printable, progress, time_format};

const POLL_INTERVAL: Duration = Duration::from_millis(300);
/// Maximum number of imports to search for the batch.
const IMPORTS_MAX: u32 = 1000;
/// After this time without progress, the likely cause is printed.
const REPORT_AFTER: Duration = Duration::from_secs(15);

/// An object whose event is in the queue.
pub(super) struct Queued {
    pub(super) target: Target,
    pub(super) webhook_id: String,
    /// Unknown when Redis's reply was lost; then there is nothing to wait for.
    pub(super) entry_id: Option<String>,
}

pub(super) fn bar(total: u64, hidden: bool) -> ProgressBar {
    progress::with_template("{bar:30} {human_pos}/{human_len} {msg}", total, hidden)
}

/// The bar for a single batch, which counts its rows.
fn row_bar(hidden: bool) -> ProgressBar {
    progress::with_template("{bar:30} {msg}", 0, hidden)
}

/// Waits at most this long. Returns the entries that are still unsettled, by id. `hidden` hides the bar.
pub(super) async fn wait(
    store: &Store,
    reader: &QueueAdmin,
    queued: &[Queued],
    (at_most, hidden): (Duration, bool),
) -> Result<HashMap<String, Unsettled>, CliError> {
    let mut waiting: BTreeMap<Family, Vec<String>> = BTreeMap::new();
    for object in queued {
        waiting.entry(object.target.family).or_default().extend(object.entry_id.clone());
    }
    let one_batch = queued.len() == 1 && queued[0].target.family == Family::Batch;
    let bar = if one_batch { row_bar(hidden) } else { bar(queued.len() as u64, hidden) };
    let (started, mut last_progress, mut reported) = (Instant::now(), Instant::now(), false);
    let mut left = usize::MAX;
    loop {
        let mut unsettled = HashMap::new();
        for (family, ids) in &mut waiting {
            let found = reader.unsettled(*family, ids).await?;
            *ids = found.iter().map(|entry| entry.entry_id.clone()).collect();
            unsettled.extend(found.into_iter().map(|entry| (entry.entry_id.clone(), entry)));
        }
        if unsettled.len() < left {
            (left, last_progress) = (unsettled.len(), Instant::now());
            if !one_batch {
                bar.set_position((queued.len() - left) as u64);
            }
        }
        if unsettled.is_empty() || started.elapsed() >= at_most {
            bar.finish_and_clear();
            return Ok(unsettled);
        }
        let rows = rows(store, queued, &unsettled).await?;
        if let Some(Rows { stored, total: Some(total), .. }) = rows.as_ref().filter(|_| one_batch) {
            bar.set_length(*total);
            bar.set_position(*stored);
        }
        let settled = if one_batch { "" } else { "settled; " };
        bar.set_message(rows.map_or_else(
            || settled.trim_end_matches("; ").to_owned(),
            |rows| format!("{settled}{}", rows.text()),
        ));
        if !reported && last_progress.elapsed() >= REPORT_AFTER {
            reported = true;
            bar.suspend(|| report(&unsettled));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The progress of a batch.
struct Rows {
    stored: u64,
    total: Option<u64>,
    /// `None` when no import is running.
    per_sec: Option<f64>,
    left: Option<Duration>,
}

impl Rows {
    /// `12,000 of 50,000 rows, 4,000 a second, 10s left`
    fn text(&self) -> String {
        let mut text = output::count(self.stored);
        if let Some(total) = self.total {
            text.push_str(&format!(" of {}", output::count(total)));
        }
        text.push_str(" rows");
        if let Some(per_sec) = self.per_sec.filter(|per_sec| *per_sec >= 1.0) {
            text.push_str(&format!(", {} a second", output::count(per_sec as u64)));
        }
        if let Some(left) = self.left {
            text.push_str(&format!(", {} left", time_format::span(left.as_secs().cast_signed())));
        }
        text
    }
}

/// The progress of the first unfinished batch; only batches take long.
async fn rows(
    store: &Store,
    queued: &[Queued],
    unsettled: &HashMap<String, Unsettled>,
) -> Result<Option<Rows>, CliError> {
    let under_way = |object: &&Queued| {
        object.target.family == Family::Batch
            && object.entry_id.as_ref().is_some_and(|id| unsettled.contains_key(id))
    };
    let Some(Queued { target, .. }) = queued.iter().find(under_way) else { return Ok(None) };
    let progress = store.fetch_progress(&target.project, target.family, &target.object_id).await;
    let Some((stored, total)) = progress?.and_then(|progress| progress.rows) else { return Ok(None) };
    let imports = store.imports(IMPORTS_MAX).await?;
    let import =
        imports.into_iter().find(|one| one.batch_id == target.object_id && one.project == target.project);
    let now = Utc::now();
    Ok(Some(Rows {
        stored: stored.max(0).cast_unsigned(),
        total: total.map(|total| total.max(0).cast_unsigned()),
        per_sec: import.as_ref().map(|import| import.rows_per_sec(now)),
        left: import.and_then(|import| import.left(now)),
    }))
}

fn report(unsettled: &HashMap<String, Unsettled>) {
    let count = output::count(unsettled.len() as u64);
    match unsettled.values().find_map(|entry| entry.last_error.as_deref()) {
        Some(error) => {
            eprintln!(
                "landfall: {count} still waiting; the last attempt failed: {}",
                printable::sentence(error)
            )
        }
        None => eprintln!(
            "landfall: {count} still waiting; check with `landfall status` that a worker is running"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_shown_with_speed_and_time_left_if_known() {
        let all = Rows {
            stored: 12_000,
            total: Some(50_000),
            per_sec: Some(4000.4),
            left: Some(Duration::from_secs(10)),
        };
        assert_eq!(all.text(), "12,000 of 50,000 rows, 4,000 a second, 10s left");
        let little = Rows { stored: 0, total: None, per_sec: Some(0.0), left: None };
        assert_eq!(little.text(), "0 rows");
    }
}
