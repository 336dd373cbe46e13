//! A fine-tuning job with its loss curve, its checkpoints and its events, and the resulting model.

use store::{
    CheckpointRecord, JobEventRecord, JobParts, JobRecord, MetricRecord, ModelRecord, PartState, Store,
};
use webhook::MaybeKnown;

use super::layout::{Layout, error_text, or_empty};
use crate::exit::CliError;
use crate::output::{self, Text};
use crate::{printable, time_format};

/// Longer curves are reduced to this many steps, evenly spaced, including the first and the last.
const STEPS_SHOWN: usize = 8;
/// Checkpoints and events shown: the newest ones.
const LISTED_MAX: usize = 10;

pub(super) async fn job_text(store: &Store, job: &JobRecord, layout: Layout) -> Result<String, CliError> {
    let parts = store.fine_tuning_parts(&job.project, &job.job_id).await?;
    let fields = [
        ("status", or_empty(job.status.as_deref())),
        ("base model", or_empty(job.base_model.as_deref())),
        ("model", or_empty(job.fine_tuned_model.as_deref())),
        (
            "trained",
            job.trained_tokens.map(|tokens| format!("{} tokens", output::count(tokens))).unwrap_or_default(),
        ),
        ("error", error_text(job.error.as_deref())),
        ("settings", printable::sentence(job.hyperparameters.as_deref().unwrap_or_default())),
        ("checkpoints", listed(parts.checkpoints_state.as_ref(), parts.checkpoints.len())),
        ("events", listed(parts.events_state.as_ref(), parts.events.len())),
        ("created", layout.time(job.created_at)),
        ("finished", layout.time(job.finished_at)),
        ("received", layout.time(Some(job.received_at))),
        ("fetched", layout.origin(&job.fetch_state, job.fetched_at)),
    ];
    let mut text = layout.section("fine-tuning job", &job.job_id, &fields);
    let metrics = store.fine_tuning_metrics(&job.project, &job.job_id).await?;
    if !metrics.is_empty() {
        text.push('\n');
        text.push_str(&curve(&metrics, layout.width));
    }
    text.push_str(&lists(&parts, layout.width));
    Ok(text)
}

/// How many are stored, or why none are.
fn listed(state: Option<&MaybeKnown<PartState>>, stored: usize) -> String {
    let count = output::count(stored as u64);
    match state {
        None => String::new(),
        Some(MaybeKnown::Known(PartState::Fetched)) => count,
        Some(MaybeKnown::Known(PartState::Truncated)) => format!("{count}, the newest"),
        Some(state) => printable::one_line(&state.as_str().replace('_', " ")),
    }
}

/// The last checkpoints by step, and the newest events.
fn lists(parts: &JobParts, width: u16) -> String {
    let mut text = String::new();
    if !parts.checkpoints.is_empty() {
        let row = |checkpoint: &CheckpointRecord| {
            let loss = checkpoint.metrics.as_deref().and_then(loss).map(|loss| format!("{loss:.4}"));
            vec![
                checkpoint.step_number.map_or_else(|| "-".to_owned(), |step| step.to_string()),
                loss.unwrap_or_else(|| "-".to_owned()),
                checkpoint.fine_tuned_model_checkpoint.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        };
        let last = parts.checkpoints.len().saturating_sub(LISTED_MAX);
        let rows = parts.checkpoints[last..].iter().map(row);
        text.push('\n');
        text.push_str(&output::table("STEP> | VALID_LOSS> | CHECKPOINT", rows, width));
    }
    if !parts.events.is_empty() {
        let row = |event: &JobEventRecord| {
            let time = event.created_at.map_or_else(|| "-".to_owned(), time_format::utc);
            let message = printable::sentence(event.message.as_deref().unwrap_or("-"));
            vec![
                Text::from(time),
                event.level.clone().unwrap_or_else(|| "-".to_owned()).into(),
                Text::sentence(&message),
            ]
        };
        let rows = parts.events.iter().take(LISTED_MAX).map(row);
        text.push('\n');
        text.push_str(&output::table("TIME | LEVEL | EVENT", rows, width));
    }
    text
}

/// The loss over all validation data, or else over the step's.
fn loss(metrics: &str) -> Option<f64> {
    let metrics: serde_json::Value = serde_json::from_str(metrics).ok()?;
    metrics["full_valid_loss"].as_f64().or_else(|| metrics["valid_loss"].as_f64())
}

pub(super) fn model_text(model: &ModelRecord, layout: Layout) -> String {
    let fields = [
        ("job", or_empty(model.job_id.as_deref())),
        ("base model", or_empty(model.base_model.as_deref())),
        ("owned by", or_empty(model.owned_by.as_deref())),
        ("created", layout.time(model.created_at)),
        ("fetched", layout.time(model.fetched_at)),
    ];
    layout.section("model", &model.model_id, &fields)
}

fn curve(metrics: &[MetricRecord], width: u16) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
    let row = |metric: &MetricRecord| {
        vec![
            metric.step.to_string(),
            number(metric.train_loss),
            number(metric.train_accuracy),
            number(metric.valid_loss),
            number(metric.valid_accuracy),
        ]
    };
    let rows = spread(metrics.len()).filter_map(|index| metrics.get(index)).map(row);
    output::table("STEP> | TRAIN_LOSS> | TRAIN_ACCURACY> | VALID_LOSS> | VALID_ACCURACY>", rows, width)
}

/// At most [`STEPS_SHOWN`] evenly spaced indexes below `count`.
fn spread(count: usize) -> impl Iterator<Item = usize> {
    let shown = count.min(STEPS_SHOWN);
    (0..shown).map(move |index| if shown > 1 { index * (count - 1) / (shown - 1) } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_first_and_last_step() {
        assert_eq!(spread(0).count(), 0);
        assert_eq!(spread(1).collect::<Vec<_>>(), [0]);
        assert_eq!(spread(3).collect::<Vec<_>>(), [0, 1, 2]);
        let steps: Vec<usize> = spread(1000).collect();
        assert_eq!((steps.len(), steps[0], steps[7]), (8, 0, 999));
    }
}
