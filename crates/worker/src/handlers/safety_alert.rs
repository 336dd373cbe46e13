//! `safety.alert.created`: one GET, one row. Its explanation is available only for a while. The other safety events are
//! stored only: they are about objects of the organization, which need another key, and one of them another host.

use openai_client::{Client, SafetyAlert};
use service::excerpt;
use store::{ResultPayload, SafetyAlertRecord};
use webhook::{FetchState, NotificationType};

use crate::context::Context;
use crate::failure::HandlerError;
use crate::handlers::fetch::{self, Found, Wanted};
use crate::job::Job;
use crate::settlement::{Effect, Write};

pub(super) async fn handle(context: &Context, job: &Job<'_>, id: &str) -> Result<Write, HandlerError> {
    let call = |client: Client| async move { client.safety_alert(id).await };
    let wanted = Wanted::IfPermitted("safety alert");
    let mut found = fetch::object(context, job, wanted, call, SafetyAlert::parse).await?;
    if found.state == FetchState::Forbidden {
        tracing::warn!(
            object.id = excerpt(id).as_ref(),
            project = job.entry.project,
            "the API key may not read safety alerts: grant it the permission api.safety.alerts.read; afterwards, \
             landfall fetch --missing fetches the missing ones"
        );
    }
    let (state, reason, reservation) = (found.state, found.reason, std::mem::take(&mut found.reservation));
    let record = record(job, id, found);
    let kind = NotificationType::SafetyStored;
    let completion = context.outbox.completion(job, kind, reason, || ResultPayload::of_row(&record));
    Ok(Write {
        effect: Effect::SafetyAlert(Box::new(record)),
        completion,
        fetch_state: Some(state),
        reservation,
    })
}

fn record(job: &Job<'_>, id: &str, found: Found<SafetyAlert>) -> SafetyAlertRecord {
    let Found { object, raw, state, fetched_at, .. } = found;
    SafetyAlertRecord {
        project: job.entry.project.clone(),
        alert_id: id.to_owned(),
        response_id: object.response_id,
        request_id: object.request_id,
        model: object.model,
        error_type: object.error_type,
        reason: object.reason,
        detailed_explanation: object.detailed_explanation,
        request_paused: object.request_paused,
        created_at: object.created_at,
        received_at: job.received_at(),
        fetch_state: state.into(),
        fetched_at,
        raw: raw.map(Vec::from),
    }
}
