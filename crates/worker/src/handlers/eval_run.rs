//! `eval.run.*`: the webhook names the run but not its eval, and no endpoint finds a run by its id. So a limited number
//! of recent evals is scanned; if the run is not found, the event is stored and the row says so. OpenAI ended evals on
//! 2026-11-30: later events are stored without asking it.

use chrono::{DateTime, Utc};
use openai_client::{Client, ErrorKind, EvalRun};
use store::{EvalRunRecord, ResultPayload};
use webhook::{FetchState, NotificationType, Reason};

use crate::context::Context;
use crate::failure::{HandlerError, RetryAdvice};
use crate::handlers::fetch::{self, Found};
use crate::handlers::raw_object;
use crate::job::Job;
use crate::settlement::{Effect, Write};

/// An API of evals that only returns errors is not retried for three days.
const ATTEMPTS_MAX: u32 = 5;
/// 2026-12-01T00:00Z: the first second after the last day of OpenAI's evals.
const ENDED_AT_SECS: i64 = 1_796_083_200;

/// Whether OpenAI has nothing to fetch for this event: the API of evals ended before it. Other servers with OpenAI's
/// API may go on to serve evals.
pub(super) fn is_over(context: &Context, job: &Job<'_>) -> bool {
    let client = fetch::client(context, job);
    client.is_ok_and(|client| client.is_some_and(|client| has_no_evals(&client, job.created_at())))
}

fn has_no_evals(client: &Client, created_at: Option<DateTime<Utc>>) -> bool {
    client.is_openai() && created_at.is_some_and(|created_at| created_at.timestamp() >= ENDED_AT_SECS)
}

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openai_client::{BodyMemory, ClientConfig};

    use super::*;

    fn client(base_url: &str) -> Client {
        service::install_crypto_provider();
        Client::new(ClientConfig {
            base_url: base_url.to_owned(),
            api_key: "sk-1".into(),
            organization: None,
            project: None,
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(5),
            web_search_results: false,
            observer: None,
            body_memory: BodyMemory::default(),
        })
        .unwrap()
    }

    fn time(text: &str) -> Option<DateTime<Utc>> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn openai_is_not_asked_for_eval_runs_from_december_on() {
        for base_url in ["https://api.openai.com/v1", "https://eu.api.openai.com/v1"] {
            let openai = client(base_url);
            assert!(has_no_evals(&openai, time("2026-12-01T00:00:00Z")));
            assert!(has_no_evals(&openai, time("2027-03-01T00:00:00Z")));
            assert!(!has_no_evals(&openai, time("2026-11-30T23:59:59Z")));
            assert!(!has_no_evals(&openai, None), "an event without a time is fetched");
        }
    }

    #[test]
    fn another_server_is_asked_for_eval_runs_at_any_time() {
        for base_url in ["http://127.0.0.1:8081/v1", "https://proxy.example/v1"] {
            for created_at in ["2026-11-30T23:59:59Z", "2026-12-01T00:00:00Z"] {
                assert!(!has_no_evals(&client(base_url), time(created_at)), "{base_url} {created_at}");
            }
        }
    }
}
