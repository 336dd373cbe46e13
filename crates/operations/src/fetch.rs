//! Fetches objects again: which ones, and the event that a worker fetches each one for.

use chrono::{DateTime, Utc};
use store::{EventRecord, Store, StoreError, UnfetchedObject};
use webhook::{EventKind, Family, FetchState};

use crate::requeue::{RequeueError, Requeuer, SyntheticEvent};

/// Maximum number of objects per run. Several runs repair more.
pub const MISSING_MAX: u32 = 100_000;
/// The only project that synthetic events support so far.
const PROJECT: &str = "default";

/// Why an object was not enqueued to be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Requeue(#[from] RequeueError),
}

/// An object to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub project: String,
    pub object_id: String,
    pub family: Family,
}

/// The event for which a worker fetches an object.
#[derive(Debug)]
pub struct Cause {
    event: CauseEvent,
    family: Family,
}

#[derive(Debug)]
enum CauseEvent {
    Stored(Box<EventRecord>),
    Synthetic(SyntheticEvent),
}

impl Target {
    /// The newest event about the object, or a synthetic one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn cause(&self, store: &Store) -> Result<Cause, StoreError> {
        let events = store.events_about(&self.object_id).await?;
        let about = |event: &EventRecord| {
            event.project == self.project && event.family == self.family && has_object(event)
        };
        let event = match (events.into_iter().find(about), event_type(self.family)) {
            (Some(event), _) => CauseEvent::Stored(Box::new(event)),
            (None, Some(event_type)) => {
                CauseEvent::Synthetic(SyntheticEvent::about(&self.object_id, event_type, &self.project))
            }
            (None, None) => unreachable!("only families with objects have targets"),
        };
        Ok(Cause { event, family: self.family })
    }
}

impl Cause {
    pub fn webhook_id(&self) -> &str {
        match &self.event {
            CauseEvent::Stored(event) => &event.webhook_id,
            CauseEvent::Synthetic(event) => &event.webhook_id,
        }
    }

    /// Returns the id of the entry, which is missing when Redis's reply was lost. After an error, the same call may be
    /// repeated.
    ///
    /// # Errors
    /// When the queue is full, or Redis fails.
    pub async fn enqueue(&self, requeuer: &mut Requeuer) -> Result<Option<String>, RequeueError> {
        match &self.event {
            CauseEvent::Stored(event) => Ok(requeuer.requeue(event).await?.into_entry_id()),
            CauseEvent::Synthetic(event) => requeuer.enqueue_synthetic(self.family, event).await,
        }
    }
}

/// Objects that were not fetched completely.
#[derive(Debug)]
pub struct Missing {
    pub targets: Vec<Target>,
    /// How many were left out that OpenAI does not know and that no webhook referred to: mistyped ids, probably.
    pub unknown: usize,
    /// Whether there are more than [`MISSING_MAX`].
    pub may_be_more: bool,
}

/// All known objects that were not fetched completely, the newest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn missing(store: &Store, since: Option<DateTime<Utc>>) -> Result<Missing, StoreError> {
    let objects = store.unfetched_objects(since, MISSING_MAX).await?;
    let may_be_more = objects.len() == MISSING_MAX as usize;
    let (mut targets, mut unknown) = (Vec::with_capacity(objects.len()), 0_usize);
    for object in objects {
        if object.fetch_state == FetchState::NotFound && is_unknown(store, &object).await? {
            unknown += 1;
            continue;
        }
        let UnfetchedObject { project, object_id, family, .. } = object;
        // A family that only a newer version can fetch is left to it.
        if let Some(family) = family.known() {
            targets.push(Target { project, object_id, family });
        }
    }
    Ok(Missing { targets, unknown, may_be_more })
}

/// Whether only `landfall fetch` ever asked for the object, so that it is probably a mistyped id.
async fn is_unknown(store: &Store, object: &UnfetchedObject) -> Result<bool, StoreError> {
    let events = store.events_about(&object.object_id).await?;
    let is_made = |event: &EventRecord| event.webhook_id.starts_with(SyntheticEvent::ID_PREFIX);
    Ok(!events.is_empty() && events.iter().all(is_made))
}

/// What there is to fetch under an id.
#[derive(Debug, PartialEq, Eq)]
pub enum Named {
    /// One for each project that has an event about it.
    Targets(Vec<Target>),
    /// Its event contains everything, as that of a live session.
    NothingToFetch,
    /// No id of an object that can be fetched.
    NotAnObject,
}

/// What there is to fetch under this id.
///
/// # Errors
/// When the database cannot be read.
pub async fn named(store: &Store, id: &str) -> Result<Named, StoreError> {
    let events = store.events_about(id).await?;
    let mut found: Vec<(String, Family)> = events
        .iter()
        .filter_map(|event| {
            let family = event.family.known().filter(|_| has_object(event))?;
            Some((event.project.clone(), family))
        })
        .collect();
    if let (true, Some(family)) = (found.is_empty(), family_of(id)) {
        found.push((PROJECT.to_owned(), family));
    }
    let mut targets = Vec::<Target>::new();
    for (project, family) in found {
        if !targets.iter().any(|target| target.project == project) {
            targets.push(Target { project, object_id: id.to_owned(), family });
        }
    }
    Ok(match (targets.is_empty(), events.is_empty()) {
        (false, _) => Named::Targets(targets),
        (true, false) => Named::NothingToFetch,
        (true, true) => Named::NotAnObject,
    })
}

/// The family of an object, by the prefix of its id.
fn family_of(id: &str) -> Option<Family> {
    let prefixes = [
        ("resp_", Family::Response),
        ("batch_", Family::Batch),
        ("ftjob-", Family::FineTuning),
        ("ftjob_", Family::FineTuning),
        ("evalrun_", Family::Eval),
    ];
    let fits = |(prefix, _): &&(&str, Family)| id.len() > prefix.len() && id.starts_with(prefix);
    prefixes.iter().find(fits).map(|(_, family)| *family)
}

/// The type of the synthetic event. It only triggers the fetch; the object has the actual status.
fn event_type(family: Family) -> Option<&'static str> {
    match family {
        Family::Response => Some("response.completed"),
        Family::Batch => Some("batch.completed"),
        Family::FineTuning => Some("fine_tuning.job.succeeded"),
        Family::Eval => Some("eval.run.succeeded"),
        Family::Safety => Some("safety.alert.created"),
        Family::Agent => Some("agent.session.idle"),
        Family::Realtime | Family::Other => None,
    }
}

/// Whether the event is about an object that can be fetched.
fn has_object(event: &EventRecord) -> bool {
    EventKind::from_name(&event.event_type).has_object()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_synthetic_event_is_of_the_family_of_the_id() {
        for (id, family) in [
            ("resp_1", Some(Family::Response)),
            ("batch_1", Some(Family::Batch)),
            ("ftjob-1", Some(Family::FineTuning)),
            ("ftjob_1", Some(Family::FineTuning)),
            ("evalrun_1", Some(Family::Eval)),
            ("resp_", None),
            ("wh_1", None),
            ("file-1", None),
        ] {
            assert_eq!(family_of(id), family, "{id}");
        }
        for &family in Family::ALL {
            if let Some(name) = event_type(family) {
                let kind = EventKind::from_name(name);
                assert!(kind.family() == family && kind.has_object());
            }
        }
    }
}
