//! Which page shows an object, by its kind.

use store::Found;

use super::address;

/// The address of the page of what was found.
pub(super) fn object_path(found: &Found) -> String {
    let (path, id) = match found {
        Found::Event(event) => ("/events", &event.webhook_id),
        Found::Response(response) => ("/responses", &response.response_id),
        Found::Batch(batch) => ("/batches", &batch.batch.batch_id),
        Found::FineTuningJob(job) => ("/jobs", &job.job_id),
        Found::EvalRun(run) => ("/evals", &run.run_id),
        Found::Model(model) => ("/objects", &model.model_id),
        Found::SafetyAlert(alert) => ("/objects", &alert.alert_id),
        Found::AgentSession(session) => ("/objects", &session.session_id),
        Found::AgentTurn(turn) => ("/objects", &turn.turn_id),
        Found::File(file) => ("/objects", &file.file_id),
    };
    address::of(path, id)
}
