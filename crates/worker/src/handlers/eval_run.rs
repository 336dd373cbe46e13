//! `eval.run.*`: the webhook names the run but not its eval, and no endpoint looks a run up by its id. So recent
//! evals are scanned, bounded; when that finds nothing the event is kept and the row says so.

use chrono::Utc;
use openai_client::EvalRun;
use store::EvalRunRecord;
use webhook::{FetchState, Reason};

use crate::context::Context;
use crate::handlers::fetch::{self, Found};
use crate::handlers::{HandlerError, Outcome, Remedy, kept};
use crate::work::Work;

/// Evals end as a product on 2026-11-30; an API that only answers errors is not asked for three days.
const ATTEMPTS_MAX: u32 = 5;

pub(super) async fn handle(context: &Context, work: &Work<'_>) -> Result<Outcome, HandlerError> {
    let Some(id) = work.object_id() else {
        return kept::handle(context, work).await;
    };
    let found = find(context, work, id).await?;
    if found.state == FetchState::Fetched && !found.object.is_terminal() {
        let status = found.object.status.unwrap_or_else(|| "without a status".to_owned());
        return Err(HandlerError::NotTerminal { what: "eval run", status });
    }
    let completion = work.completion(found.reason);
    let state = found.state;
    context.store.save_eval_run(&record(work, id, found), &completion).await?;
    Ok(Outcome::Stored(state))
}

async fn find(context: &Context, work: &Work<'_>, id: &str) -> Result<Found<EvalRun>, HandlerError> {
    let (state, reason) = match fetch::client(context, work)? {
        None => (FetchState::Off, None),
        Some(client) => match client.find_eval_run(id).await {
            Ok(Some(fetched)) => {
                let (object, raw) = (fetched.object, Some(fetched.raw));
                return Ok(Found { object, raw, state: FetchState::Fetched, reason: None });
            }
            Ok(None) => (FetchState::NotFound, Some(Reason::NotFound)),
            Err(source) => {
                let error = HandlerError::Api { what: "eval run", source };
                if error.remedy() != Remedy::GiveUp && work.attempt < ATTEMPTS_MAX {
                    return Err(error);
                }
                (FetchState::NotFound, Some(error.reason()))
            }
        },
    };
    let embedded = work.data().filter(|data| EvalRun::parse(data).is_ok());
    let object = EvalRun::parse(embedded.unwrap_or(b"{}")).map_err(|e| HandlerError::BadAnswer(e.into()))?;
    Ok(Found { object, raw: embedded.map(bytes::Bytes::copy_from_slice), state, reason })
}

fn record(work: &Work<'_>, id: &str, found: Found<EvalRun>) -> EvalRunRecord {
    let Found { object, raw, state, .. } = found;
    EvalRunRecord {
        project: work.entry.project.clone(),
        run_id: id.to_owned(),
        terminal: object.is_terminal(),
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
        fetch_state: state,
        fetched_at: (state == FetchState::Fetched).then(Utc::now),
        raw: raw.map(Vec::from),
    }
}
