//! Waits until workers are done with what was enqueued, and shows how far they are.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use queue::{QueueReader, Unsettled};
use store::Store;
use webhook::Family;

use super::Queued;
use crate::exit::Failure;
use crate::{queued, screen, stored};

const LOOK_EVERY: Duration = Duration::from_millis(300);
/// After so long without anything done, people are told what it may be.
const PATIENCE: Duration = Duration::from_secs(15);

/// Drawn on stderr, and only when that is a terminal.
pub(super) fn bar(total: usize, hidden: bool) -> ProgressBar {
    if hidden {
        return ProgressBar::hidden();
    }
    let style = "{bar:30} {human_pos}/{human_len} {msg}";
    let style = ProgressStyle::with_template(style).expect("the template is well-formed");
    ProgressBar::new(total as u64).with_style(style)
}

/// By entry id what is not settled when the time is up: nothing when all went well. The second of the pair hides the
/// bar.
pub(super) async fn wait(
    store: &Store,
    reader: &QueueReader,
    queued: &[Queued],
    (at_most, hidden): (Duration, bool),
) -> Result<HashMap<String, Unsettled>, Failure> {
    let mut waiting: BTreeMap<Family, Vec<String>> = BTreeMap::new();
    for object in queued {
        waiting.entry(object.target.family).or_default().extend(object.entry_id.clone());
    }
    let bar = bar(queued.len(), hidden);
    let (started, mut last_progress, mut told) = (Instant::now(), Instant::now(), false);
    let mut left = usize::MAX;
    loop {
        let mut unsettled = HashMap::new();
        for (family, ids) in &mut waiting {
            let found = reader.unsettled(*family, ids).await.map_err(queued::failure)?;
            *ids = found.iter().map(|entry| entry.entry_id.clone()).collect();
            unsettled.extend(found.into_iter().map(|entry| (entry.entry_id.clone(), entry)));
        }
        if unsettled.len() < left {
            (left, last_progress) = (unsettled.len(), Instant::now());
            bar.set_position((queued.len() - left) as u64);
        }
        if unsettled.is_empty() || started.elapsed() >= at_most {
            bar.finish_and_clear();
            return Ok(unsettled);
        }
        bar.set_message(rows(store, queued, &unsettled).await?);
        if !told && last_progress.elapsed() >= PATIENCE {
            told = true;
            bar.suspend(|| tell(&unsettled));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How far the first batch that is under way has come: only batches take long.
async fn rows(
    store: &Store,
    queued: &[Queued],
    unsettled: &HashMap<String, Unsettled>,
) -> Result<String, Failure> {
    let under_way = |object: &&Queued| {
        object.target.family == Family::Batch
            && object.entry_id.as_ref().is_some_and(|id| unsettled.contains_key(id))
    };
    let Some(Queued { target, .. }) = queued.iter().find(under_way) else {
        return Ok("settled".to_owned());
    };
    let progress = store.fetch_progress(&target.project, target.family, &target.object_id).await;
    Ok(match progress.map_err(stored::failure)?.and_then(|progress| progress.rows) {
        Some((stored, Some(total))) => {
            format!("settled; {} of {} rows", screen::count(stored), screen::count(total))
        }
        Some((stored, None)) => format!("settled; {} rows", screen::count(stored)),
        None => "settled".to_owned(),
    })
}

fn tell(unsettled: &HashMap<String, Unsettled>) {
    let count = screen::count(unsettled.len() as u64);
    match unsettled.values().find_map(|entry| entry.last_error.as_deref()) {
        Some(error) => {
            eprintln!("landfall: {count} still waiting; an attempt failed: {}", screen::printable(error))
        }
        None => eprintln!("landfall: {count} still waiting; is a worker running? see `landfall status`"),
    }
}
