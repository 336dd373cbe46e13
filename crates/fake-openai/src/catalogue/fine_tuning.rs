//! What a fine-tuning job leaves behind: a loss curve as the result file has it, checkpoints and the job's log.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Three epochs of twenty steps.
const STEPS: u32 = 60;
/// Validated, and in the first two epochs kept as a checkpoint, every so many steps.
const VALIDATED_EVERY: u32 = 10;
const CHECKPOINT_STEPS: [u32; 3] = [20, 40, 60];

struct Step {
    number: u32,
    train_loss: f64,
    train_accuracy: f64,
    valid: Option<(f64, f64)>,
}

/// A curve that falls steeply, then slowly, with the small waves real ones have. The same at every start.
fn curve() -> impl Iterator<Item = Step> {
    (1..=STEPS).map(|number| {
        let x = f64::from(number);
        let wave = (x * 1.7).sin() * 0.06 + (x * 0.61).cos() * 0.03;
        let train_loss = 0.35 + 2.1 * (-x / 14.0).exp() + wave;
        let train_accuracy = (1.0 - train_loss / 3.4).clamp(0.0, 1.0);
        let valid = number
            .is_multiple_of(VALIDATED_EVERY)
            .then(|| (train_loss + 0.09, (train_accuracy - 0.03).max(0.0)));
        Step { number, train_loss, train_accuracy, valid }
    })
}

/// The result file: CSV with empty cells where no validation ran, in base64 as it is served in practice.
pub(super) fn result_file() -> String {
    STANDARD.encode(result_csv())
}

fn result_csv() -> String {
    let mut csv = "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n".to_owned();
    for step in curve() {
        write!(csv, "{},{:.5},{:.5},", step.number, step.train_loss, step.train_accuracy)
            .expect("a String takes everything");
        match step.valid {
            Some((loss, accuracy)) => writeln!(csv, "{loss:.5},{accuracy:.5}"),
            None => writeln!(csv, ","),
        }
        .expect("a String takes everything");
    }
    csv
}

/// The checkpoints of a finished job; the last one is the model itself.
pub(super) fn checkpoints(job_id: &str, model: &str, created_at: i64) -> Vec<Value> {
    let steps = curve().filter(|step| CHECKPOINT_STEPS.contains(&step.number));
    steps
        .map(|step| {
            let (valid_loss, valid_accuracy) = step
                .valid
                .expect("checkpoints are made at steps that are validated");
            let model = match step.number {
                STEPS => model.to_owned(),
                number => format!("{model}:ckpt-step-{number}"),
            };
            json!({
                "object": "fine_tuning.job.checkpoint", "id": format!("ftckpt_demo_{}", step.number),
                "created_at": created_at + i64::from(step.number), "fine_tuned_model_checkpoint": model,
                "fine_tuning_job_id": job_id, "step_number": step.number,
                "metrics": {
                    "step": step.number, "train_loss": round(step.train_loss),
                    "train_mean_token_accuracy": round(step.train_accuracy),
                    "valid_loss": round(valid_loss), "valid_mean_token_accuracy": round(valid_accuracy),
                    "full_valid_loss": round(valid_loss), "full_valid_mean_token_accuracy": round(valid_accuracy),
                },
            })
        })
        .collect()
}

/// The job's log, oldest first: messages around one entry of metrics a step.
pub(super) fn events(model: &str, created_at: i64) -> Vec<Value> {
    let mut at = created_at;
    let mut events = Vec::new();
    let mut add = |message: String, data: Option<Value>| {
        at += 30;
        events.push(json!({
            "object": "fine_tuning.job.event", "id": format!("ftevent-demo{:04}", events.len()), "created_at": at,
            "level": "info", "message": message, "data": data.clone().unwrap_or_else(|| json!({})),
            "type": if data.is_some() { "metrics" } else { "message" },
        }));
    };
    add("Created fine-tuning job".into(), None);
    add("Validating training file: file-DemoTraining".into(), None);
    add("Files validated, moving job to queued state".into(), None);
    add("Fine-tuning job started".into(), None);
    for step in curve() {
        let message = format!("Step {}/{STEPS}: training loss={:.2}", step.number, step.train_loss);
        let metrics = json!({
            "step": step.number, "total_steps": STEPS, "train_loss": round(step.train_loss),
            "train_mean_token_accuracy": round(step.train_accuracy),
        });
        add(message, Some(metrics));
    }
    add(format!("New fine-tuned model created: {model}"), None);
    add("The job has successfully completed".into(), None);
    events
}

fn round(value: f64) -> f64 {
    (value * 100_000.0).round() / 100_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_falls_over_sixty_steps_and_some_cells_are_empty() {
        let decoded = STANDARD.decode(result_file()).unwrap();
        let csv = String::from_utf8(decoded).unwrap();
        let rows: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').collect()).collect();
        assert_eq!(rows.len(), 60);
        let loss = |row: &Vec<&str>| row[1].parse::<f64>().unwrap();
        assert!(loss(&rows[0]) > 2.0 && loss(&rows[59]) < 0.6);
        assert!(rows.iter().all(|row| row.len() == 5 && (0.0..=1.0).contains(&row[2].parse().unwrap())));
        assert_eq!(rows.iter().filter(|row| row[3].is_empty()).count(), 54);
    }
}
