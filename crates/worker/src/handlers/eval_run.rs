//! `eval.run.*`: the webhook names the run but not its eval, and no endpoint finds a run by its id. So a limited number
//! of recent evals is scanned; if the run is not found, the event is stored and the row says so.

use chrono::Utc;
use openai_client::{ErrorKind, EvalRun};
use store::{EvalRunRecord, ResultPayload};
use webhook::{FetchState, NotificationType, Reason};

use crate::context::Context;
use crate::failure::{HandlerError, RetryAdvice};
use crate::handlers::fetch::{self, Found};
use crate::handlers::raw_object;
use crate::job::Job;
use crate::settlement::{Effect, Write};

/// OpenAI retires evals on 2026-11-30; an API that only returns errors is not retried for three days.
const ATTEMPTS_MAX: u32 = 5;

pub(super) async fn handle(context: &Context, job: &Job<'_>, id: &str) -> Result<Write, HandlerError> {
    let mut found = find(context, job, id).await?;
    let status = (found.object.phase(), found.object.status.as_deref());
    let terminal = found.ended(context, job, "eval run", status).await?;
    found.raw = raw_object::for_column(context, job, id, &found).await?;
    let (state, reason, reservation) = (found.state, found.reason, std::mem::take(&mut found.reservation));
    let record = record(job, id, found, terminal);
    let kind = NotificationType::EvalStored;
    let completion = context.outbox.completion(job, kind, reason, || ResultPayload::of_row(&record));
    Ok(Write { effect: Effect::EvalRun(Box::new(record)), completion, fetch_state: Some(state), reservation })
}

async fn find(context: &Context, job: &Job<'_>, id: &str) -> Result<Found<EvalRun>, HandlerError> {
    let asked_at = Utc::now();
    let (state, reason) = match fetch::client(context, job)? {
        None => (FetchState::Off, None),
        Some(client) => match client.find_eval_run(id).await {
            Ok(Some(fetched)) => return Ok(Found::fetched(fetched, asked_at)),
            Ok(None) => (FetchState::NotFound, Some(Reason::NotFound)),
            Err(source) => {
                // A revoked key says nothing about evals, and can be replaced.
                let is_key = source.kind() == ErrorKind::Unauthorized;
                let error = HandlerError::Api { what: "eval run", source };
                let (reason, advice) = error.classify();
                if advice != RetryAdvice::GiveUp && (is_key || job.attempt < ATTEMPTS_MAX) {
                    return Err(error);
                }
                (FetchState::NotFound, Some(reason))
            }
        },
    };
    Found::embedded(job, EvalRun::parse, state, reason)
}

fn record(job: &Job<'_>, id: &str, found: Found<EvalRun>, terminal: bool) -> EvalRunRecord {
    let Found { object, raw, state, fetched_at, .. } = found;
    EvalRunRecord {
        project: job.entry.project.clone(),
        run_id: id.to_owned(),
        terminal,
        status: object.status,
        eval_id: object.eval_id,
        total: object.total,
        passed: object.passed,
        failed: object.failed,
        errored: object.errored,
        report_url: object.report_url,
        error: object.error,
        model: object.model,
        name: object.name,
        created_at: object.created_at,
        received_at: job.received_at(),
        fetch_state: state.into(),
        fetched_at,
        raw: raw.map(Vec::from),
    }
}
