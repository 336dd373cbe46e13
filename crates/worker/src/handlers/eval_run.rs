//! `eval.run.*`: the webhook names the run but not its eval, and no endpoint looks a run up by its id. So recent
//! evals are scanned, bounded; when that finds nothing the event is kept and the row says so.

use chrono::Utc;
use openai_client::{ErrorKind, EvalRun};
use store::{EvalRunRecord, TheResult};
use webhook::{FetchState, NotificationType, Reason};

use crate::context::Context;
use crate::handlers::fetch::{self, Found};
use crate::handlers::{HandlerError, Outcome, Remedy, kept, raw_object};
use crate::work::Work;

/// Evals end as a product on 2026-11-30; an API that only answers errors is not asked for three days.
const ATTEMPTS_MAX: u32 = 5;

pub(super) async fn handle(context: &Context, work: &Work<'_>) -> Result<Outcome, HandlerError> {
    let Some(id) = work.object_id() else {
        return kept::handle(context, work).await;
    };
    let mut found = find(context, work, id).await?;
    let status = (found.object.phase(), found.object.status.as_deref());
    let terminal = found.ended(context, work, "eval run", status).await?;
    found.raw = raw_object::keep(context, work, id, &found).await?;
    let (state, reason) = (found.state, found.reason);
    // Not before it is stored: it may be large.
    let _room = std::mem::take(&mut found.room);
    let record = record(work, id, found, terminal);
    let kind = NotificationType::EvalStored;
    let completion = context.outbox.completion(work, kind, reason, || TheResult::of_row(&record));
    context.store.save_eval_run(&record, &completion).await?;
    Ok(Outcome::Stored(state))
}

async fn find(context: &Context, work: &Work<'_>, id: &str) -> Result<Found<EvalRun>, HandlerError> {
    let asked_at = Utc::now();
    let (state, reason) = match fetch::client(context, work)? {
        None => (FetchState::Off, None),
        Some(client) => match client.find_eval_run(id).await {
            Ok(Some(fetched)) => return Ok(Found::fetched(fetched, asked_at)),
            Ok(None) => (FetchState::NotFound, Some(Reason::NotFound)),
            Err(source) => {
                // A revoked key says nothing about evals; somebody will mend it.
                let is_key = source.kind() == ErrorKind::Unauthorized;
                let error = HandlerError::Api { what: "eval run", source };
                if error.remedy() != Remedy::GiveUp && (is_key || work.attempt < ATTEMPTS_MAX) {
                    return Err(error);
                }
                (FetchState::NotFound, Some(error.reason()))
            }
        },
    };
    Found::embedded(work, EvalRun::parse, state, reason)
}

fn record(work: &Work<'_>, id: &str, found: Found<EvalRun>, terminal: bool) -> EvalRunRecord {
    let Found { object, raw, state, fetched_at, .. } = found;
    EvalRunRecord {
        project: work.entry.project.clone(),
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
        received_at: work.received_at(),
        fetch_state: state.into(),
        fetched_at,
        raw: raw.map(Vec::from),
    }
}
