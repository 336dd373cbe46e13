//! One fine-tuning job: its loss curve, its checkpoints and what OpenAI reported while it ran.

use actix_web::{HttpRequest, HttpResponse, get, web};
use askama::Template;
use chrono::{DateTime, Utc};
use serde_json::Value;
use store::{CheckpointRecord, Found, JobEventRecord, JobParts, JobRecord, MetricRecord, PartState};
use webhook::{Family, MaybeKnown};

use super::absent::absent;
use super::address;
use super::facts::{self, Fact, Facts, line};
use super::frame::{Frame, Nav};
use super::loss_curve::{LossCurve, spread};
use super::moment::Moment;
use super::object_events::{ObjectEvent, object_events};
use super::page;
use super::page_error::PageError;
use super::quantity;
use super::state_word::StateWord;
use crate::state::State;

/// Steps in the table beneath the curve, evenly spaced.
const STEPS_MAX: usize = 100;
/// Checkpoints and events shown: the newest ones.
const LISTED_MAX: usize = 50;

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    frame: Frame,
    id: String,
    state: StateWord,
    summary: String,
    error: Option<String>,
    facts: Vec<Fact>,
    curve: Option<LossCurve>,
    steps: Vec<StepRow>,
    checkpoints: Vec<CheckpointRow>,
    reports: Vec<ReportRow>,
    /// Why a list is not complete.
    notes: Vec<String>,
    events: Vec<ObjectEvent>,
    json: Option<String>,
    json_href: String,
}

struct StepRow {
    step: String,
    values: [String; 4],
}

struct CheckpointRow {
    step: String,
    loss: String,
    model: String,
    created: Option<Moment>,
}

/// What OpenAI reported.
struct ReportRow {
    at: Option<Moment>,
    state: StateWord,
    message: String,
}

/// A fine-tuning job by its id.
#[get("/jobs/{id}")]
pub(crate) async fn job_page(
    state: web::Data<State>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let store = state.database.reader().await?;
    let found = store.find_object(Family::FineTuning, &id).await?;
    let Some(Found::FineTuningJob(job)) = found.into_iter().next() else {
        return absent(&state, Nav::Jobs, &id).await;
    };
    let now = Utc::now();
    let parts = store.fine_tuning_parts(&job.project, &job.job_id).await?;
    let metrics = store.fine_tuning_metrics(&job.project, &job.job_id).await?;
    let raw = job.raw.as_deref().filter(|_| state.bodies_for(&request).require().is_ok());
    let json_href = address::object_json(&id);
    let newest = parts.checkpoints.len().saturating_sub(LISTED_MAX);
    page(&JobPage {
        frame: Frame::of_object(state.head(), Nav::Jobs, &id),
        state: StateWord::of_object(job.status.as_deref(), &job.fetch_state),
        summary: job.base_model.clone().unwrap_or_default(),
        error: facts::error(job.error.as_deref()),
        facts: facts_of(&job, now),
        curve: LossCurve::of(&metrics),
        steps: spread(metrics.len(), STEPS_MAX).map(|index| StepRow::of(&metrics[index])).collect(),
        checkpoints: parts.checkpoints[newest..].iter().map(|part| CheckpointRow::of(part, now)).collect(),
        reports: parts.events.iter().take(LISTED_MAX).map(|report| ReportRow::of(report, now)).collect(),
        notes: notes(&parts),
        events: object_events(store, &id, now).await?,
        json: raw.and_then(facts::pretty),
        json_href,
        id: id.into_inner(),
    })
}

fn facts_of(job: &JobRecord, now: DateTime<Utc>) -> Vec<Fact> {
    let trained = job.trained_tokens.map(|tokens| format!("{} tokens", quantity::count(tokens)));
    let mut facts = Facts::new(now)
        .text("Base model", job.base_model.clone())
        .id("Model", job.fine_tuned_model.as_deref(), "")
        .text("Trained", trained)
        .code("Settings", facts::metadata(job.hyperparameters.as_deref()))
        .time("Created", job.created_at)
        .time("Finished", job.finished_at)
        .stored(&job.fetch_state, job.fetched_at, job.finished_at);
    let files: Vec<String> =
        job.result_files.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    for file in files.iter().take(LISTED_MAX) {
        facts = facts.id("Result file", Some(file), "");
    }
    facts.text("Project", Some(job.project.clone())).done()
}

fn notes(parts: &JobParts) -> Vec<String> {
    let note = |what: &str, state: &Option<MaybeKnown<PartState>>| match state {
        None | Some(MaybeKnown::Known(PartState::Fetched)) => None,
        Some(MaybeKnown::Known(PartState::Truncated)) => Some(format!("Only the newest {what} are stored.")),
        Some(state) => Some(format!("The {what} are not stored: {}.", state.as_str().replace('_', " "))),
    };
    let notes = [note("checkpoints", &parts.checkpoints_state), note("events", &parts.events_state)];
    notes.into_iter().flatten().collect()
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"))
}

impl StepRow {
    fn of(metric: &MetricRecord) -> Self {
        let values =
            [metric.train_loss, metric.train_accuracy, metric.valid_loss, metric.valid_accuracy].map(number);
        Self { step: quantity::count(metric.step), values }
    }
}

impl CheckpointRow {
    fn of(part: &CheckpointRecord, now: DateTime<Utc>) -> Self {
        let metrics: Value =
            part.metrics.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        let loss = metrics["full_valid_loss"].as_f64().or_else(|| metrics["valid_loss"].as_f64());
        Self {
            step: part.step_number.map_or_else(|| "–".to_owned(), quantity::count),
            loss: number(loss),
            model: part.fine_tuned_model_checkpoint.clone().unwrap_or_default(),
            created: part.created_at.map(|at| Moment::ago(at, now)),
        }
    }
}

impl ReportRow {
    fn of(report: &JobEventRecord, now: DateTime<Utc>) -> Self {
        let level = report.level.as_deref().unwrap_or("info");
        let class = match level {
            "error" => "bad",
            "warn" | "warning" => "wait",
            _ => "",
        };
        Self {
            at: report.created_at.map(|at| Moment::ago(at, now)),
            state: StateWord::new(class, level),
            message: line(report.message.as_deref().unwrap_or_default()),
        }
    }
}
