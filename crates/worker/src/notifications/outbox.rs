//! Decides which targets are notified of an event, and renders the notifications before the event's effect is stored;
//! they are written in the same transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use notifier::{Config, Notification, Payload, ResultLinks, Subject};
use serde_json::Value;
use store::{Completion, NewNotification, ResultPayload};
use tokio::sync::watch;
use webhook::{EventKind, NotificationType, Reason, Urgency};

use crate::job::Job;

/// Maximum length of the error in a notification of a dead event.
const ERROR_CHARS_MAX: usize = 1000;
/// The project of an entry that does not name one.
const DEFAULT_PROJECT: &str = "default";

/// Knows the targets, and wakes the dispatchers.
pub(crate) struct Outbox {
    config: watch::Receiver<Arc<Config>>,
    written: watch::Sender<()>,
    links: Option<Arc<ResultLinks>>,
}

/// What triggers a notification.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trigger<'a> {
    pub(crate) kind: NotificationType,
    /// Why the object is stored incompletely, or why the event was given up.
    pub(crate) reason: Option<Reason>,
    pub(crate) error: Option<&'a str>,
}

impl Outbox {
    /// `links` to results that are too large, if results are served.
    pub(crate) fn new(config: watch::Receiver<Arc<Config>>, links: Option<Arc<ResultLinks>>) -> Self {
        Self { config, written: watch::Sender::new(()), links }
    }

    pub(crate) fn config(&self) -> watch::Receiver<Arc<Config>> {
        self.config.clone()
    }

    /// Changes whenever notifications may have been written.
    pub(crate) fn written(&self) -> watch::Receiver<()> {
        self.written.subscribe()
    }

    /// Wakes the dispatchers; call it after the transaction, so that they need not wait for the next poll.
    pub(crate) fn wake(&self) {
        self.written.send_replace(());
    }

    /// Whether any target wants the full result with notifications of this type; otherwise the result need not be read.
    pub(crate) fn wants_result(&self, kind: NotificationType) -> bool {
        let config = self.config.borrow();
        config
            .targets
            .iter()
            .any(|target| target.payload == Payload::Full && target.filter.kinds().contains(&kind))
    }

    /// The largest result that a notification contains.
    pub(crate) fn full_max_bytes(&self) -> u64 {
        self.config.borrow().full_max_bytes
    }

    /// Sets the event to `stored`, and adds its notifications.
    pub(crate) fn completion(
        &self,
        job: &Job<'_>,
        kind: NotificationType,
        reason: Option<Reason>,
        result: impl FnOnce() -> ResultPayload,
    ) -> Completion {
        let notifications = self.of(job, Trigger { kind, reason, error: None }, result);
        Completion { notifications, ..job.completion(reason) }
    }

    /// The notifications of an event that is stored or given up. `result` is the object's row, or the event's body.
    pub(crate) fn of(
        &self,
        job: &Job<'_>,
        trigger: Trigger<'_>,
        result: impl FnOnce() -> ResultPayload,
    ) -> Vec<NewNotification> {
        if !self.is_wanted(trigger.kind) {
            return Vec::new();
        }
        let ResultPayload { value, is_whole } = result();
        let is_call = trigger.kind == NotificationType::EventReceived && job.is_call();
        // A call may be sent by a worker that crashes before it writes the row: another one then renders the same bytes.
        let at = if is_call { job.received_at() } else { Utc::now() };
        let links = self.links.as_ref();
        let webhook_id = job.entry.webhook_id.as_str();
        let id = if trigger.kind.is_of_object() { job.object_id() } else { Some(webhook_id) };
        let notification = Notification {
            kind: trigger.kind,
            project: job.entry.project.clone(),
            at,
            webhook_id: Some(job.entry.webhook_id.clone()),
            event_id: job.event_id().map(str::to_owned),
            event_type: job.entry.event_type.clone(),
            event_created_at: job.created_at(),
            event_age_secs: is_call.then(|| job.age_on_arrival_secs()),
            object_id: job.object_id().map(str::to_owned),
            result: value,
            result_is_whole: is_whole,
            reason: trigger.reason.map(Reason::as_str),
            error: trigger.error.map(shortened),
            link: id.and_then(|id| links?.to(&job.entry.project, id, at)),
        };
        self.render(&notification, is_call.then(|| job.happened_at()))
    }

    /// The notifications of a queue entry that cannot be decoded: only its id is known.
    pub(crate) fn of_undecodable(&self, entry_id: &str, error: &str) -> Vec<NewNotification> {
        let notification = Notification {
            kind: NotificationType::EventDead,
            project: DEFAULT_PROJECT.to_owned(),
            at: Utc::now(),
            webhook_id: None,
            event_id: Some(entry_id.to_owned()),
            event_type: "undecodable".to_owned(),
            event_created_at: None,
            event_age_secs: None,
            object_id: None,
            result: None,
            result_is_whole: true,
            reason: Some(Reason::UndecodableEntry.as_str()),
            error: Some(shortened(error)),
            link: None,
        };
        self.render(&notification, None)
    }

    fn is_wanted(&self, kind: NotificationType) -> bool {
        self.config.borrow().targets.iter().any(|target| target.filter.kinds().contains(&kind))
    }

    /// `call_at` is when a call began, whose notifications expire.
    fn render(&self, notification: &Notification, call_at: Option<DateTime<Utc>>) -> Vec<NewNotification> {
        let config = Arc::clone(&self.config.borrow());
        let model = ["model", "base_model"].into_iter().find_map(|name| notification.field(name)?.as_str());
        let metadata = notification.field("metadata").map(texts);
        let subject = Subject {
            project: &notification.project,
            kind: notification.kind,
            model,
            metadata: metadata.as_ref(),
        };
        let wanting = config.targets.iter().filter(|target| target.filter.wants(&subject));
        wanting
            .map(|target| NewNotification {
                project: notification.project.clone(),
                id: notification.id(&target.name),
                target: target.name.clone(),
                kind: notification.kind.into(),
                urgent: is_urgent(notification.kind, &notification.event_type),
                webhook_id: notification.webhook_id.clone(),
                event_id: notification.event_id.clone(),
                object_id: notification.object_id.clone(),
                event_created_at: notification.event_created_at,
                created_at: notification.at,
                expires_at: call_at.map(|at| at + target.call_ttl),
                body: notification.body(target, config.full_max_bytes),
            })
            .collect()
    }
}

/// Whether it is sent before the others.
fn is_urgent(kind: NotificationType, event_type: &str) -> bool {
    kind == NotificationType::EventReceived || EventKind::from_name(event_type).urgency() != Urgency::Ordinary
}

fn shortened(error: &str) -> String {
    error.chars().take(ERROR_CHARS_MAX).collect()
}

/// Metadata maps names to strings; other values are omitted.
fn texts(metadata: &Value) -> BTreeMap<String, String> {
    let entries = metadata.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_waits_is_as_urgent_as_a_caller() {
        let agent = |event_type| is_urgent(NotificationType::AgentStored, event_type);
        assert!(agent("agent.session.action_required") && !agent("agent.session.idle"));
        assert!(is_urgent(NotificationType::EventReceived, "realtime.call.incoming"));
        assert!(
            is_urgent(NotificationType::EventReceived, "response.reticulated"),
            "before the others, as every event without an object"
        );
        assert!(!is_urgent(NotificationType::ResponseStored, "response.completed"));
    }
}
