//! A created response or batch on its way: it runs, ends, and its webhook is sent.

use std::sync::Arc;

use error_text::chain;
use serde_json::Value;

use crate::content::FileContent;
use crate::event::{OutgoingEvent, now_secs};
use crate::kind::Kind;
use crate::sender::{Sender, SenderConfig};
use crate::state::{CreatedJobs, State};

/// A change of the object: fields with a value, and fields that become the current time.
pub(super) struct Step {
    pub(super) fields: Vec<(&'static str, Value)>,
    pub(super) times: &'static [&'static str],
}

/// An object that was just created, and what becomes of it.
pub(super) struct Job {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) object: Value,
    /// `None` if it ends without running.
    pub(super) runs: Option<Step>,
    pub(super) ends: Step,
    /// Files that exist once it has ended: id, fields, content.
    pub(super) files: Vec<(String, Value, String)>,
    pub(super) event_type: &'static str,
}

impl Job {
    /// Adds the object, and lets it run and end in the background.
    pub(super) fn start(mut self, state: &Arc<State>) {
        let state = Arc::clone(state);
        state.fixtures_mut().put_value(&self.object, None).expect("the object has an id and a kind");
        let CreatedJobs { end_after, send_to } = state.created_jobs();
        let half = end_after / 2;
        actix_web::rt::spawn(async move {
            tokio::time::sleep(half).await;
            if let Some(runs) = self.runs.take() {
                self.apply(&state, runs);
            }
            tokio::time::sleep(end_after.saturating_sub(half)).await;
            if self.end(&state) {
                announce(&state, send_to, &self).await;
            }
        });
    }

    /// Returns whether the object still existed.
    fn end(&mut self, state: &State) -> bool {
        if state.fixtures().get(self.kind, &self.id).is_none() {
            return false;
        }
        for (id, object, content) in std::mem::take(&mut self.files) {
            let content = FileContent::InMemory(content.into());
            state.fixtures_mut().put_file(&id, &object, content).expect("a file has an id");
        }
        let ends = std::mem::replace(&mut self.ends, Step { fields: Vec::new(), times: &[] });
        self.apply(state, ends)
    }

    /// Returns whether the object still existed: it may have been removed, or everything been reset.
    fn apply(&mut self, state: &State, step: Step) -> bool {
        for (name, value) in step.fields {
            self.object[name] = value;
        }
        for name in step.times {
            self.object[name] = now_secs().into();
        }
        let mut fixtures = state.fixtures_mut();
        let exists = fixtures.get(self.kind, &self.id).is_some();
        if exists {
            fixtures.put_value(&self.object, None).expect("the object has an id and a kind");
        }
        exists
    }
}

/// Sends the webhook, if there is a receiver.
async fn announce(state: &State, send_to: Option<String>, job: &Job) {
    let (Some(url), Some(secret)) = (send_to, state.webhook_secret.clone()) else { return };
    let event = OutgoingEvent::thin(job.event_type, Some(&job.id));
    let (id, webhook_id) = (job.id.as_str(), event.webhook_id.as_str());
    match Sender::new(SenderConfig::new(&url, secret)) {
        Ok(sender) => {
            let report = sender.send(&event).await;
            let (delivered, attempts) = (report.delivered, report.attempts.len());
            tracing::info!(
                object.id = id,
                webhook.id = webhook_id,
                delivered,
                attempts,
                "webhook of a created job"
            );
        }
        Err(error) => {
            tracing::warn!(object.id = id, error = chain(&error), "cannot send the webhook of a created job");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::FakeConfig;

    fn added(state: &State) -> Job {
        let job = Job {
            kind: Kind::Batch,
            id: "batch_1".to_owned(),
            object: json!({"id": "batch_1", "object": "batch", "status": "validating", "completed_at": null}),
            runs: None,
            ends: Step { fields: vec![("status", "completed".into())], times: &["completed_at"] },
            files: vec![("file-1".to_owned(), json!({}), "{}\n".to_owned())],
            event_type: "batch.completed",
        };
        state.fixtures_mut().put_value(&job.object, None).unwrap();
        job
    }

    #[test]
    fn a_job_ends_with_its_files() {
        let state = State::new(FakeConfig::default());
        assert!(added(&state).end(&state));
        let fixtures = state.fixtures();
        let ended: Value = serde_json::from_str(fixtures.get(Kind::Batch, "batch_1").unwrap().get()).unwrap();
        assert!(ended["status"] == "completed" && ended["completed_at"].is_u64(), "{ended}");
        assert_eq!(fixtures.file_bytes("file-1").unwrap(), "{}\n");
    }

    #[test]
    fn a_job_whose_object_was_removed_does_not_end() {
        let state = State::new(FakeConfig::default());
        let mut job = added(&state);
        assert!(state.fixtures_mut().remove("batch_1"));
        assert!(!job.end(&state));
        let fixtures = state.fixtures();
        assert!(fixtures.get(Kind::Batch, "batch_1").is_none() && fixtures.file_bytes("file-1").is_none());
    }
}
