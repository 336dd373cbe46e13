//! Selects the objects to fetch, and the event to enqueue for each.

use chrono::{DateTime, Utc};
use store::{EventRecord, Store, UnfetchedObject};
use webhook::{EventKind, Family, FetchState};

use crate::exit::{CliError, ExitStatus};
use crate::printable;
use crate::requeue::SyntheticEvent;

/// Maximum number of objects per run. Several runs repair more.
const MISSING_MAX: u32 = 100_000;
/// The only project that synthetic events support so far.
const PROJECT: &str = "default";

/// An object to fetch.
pub(super) struct Target {
    pub(super) project: String,
    pub(super) object_id: String,
    pub(super) family: Family,
}

/// The event to enqueue for an object.
pub(super) enum Cause {
    Stored(Box<EventRecord>),
    Synthetic(SyntheticEvent),
}

impl Target {
    /// The newest event about the object, or a synthetic one.
    pub(super) async fn cause(&self, store: &Store) -> Result<Cause, CliError> {
        let events = store.events_about(&self.object_id).await?;
        let about = |event: &EventRecord| {
            event.project == self.project && event.family == self.family && has_object(event)
        };
        Ok(match (events.into_iter().find(about), event_type(self.family)) {
            (Some(event), _) => Cause::Stored(Box::new(event)),
            (None, Some(event_type)) => {
                Cause::Synthetic(SyntheticEvent::about(&self.object_id, event_type, &self.project))
            }
            (None, None) => unreachable!("only families with objects have targets"),
        })
    }
}

/// All known objects that were not fetched completely.
pub(super) async fn missing(store: &Store, since: Option<DateTime<Utc>>) -> Result<Vec<Target>, CliError> {
    let objects = store.unfetched_objects(since, MISSING_MAX).await?;
    if objects.len() == MISSING_MAX as usize {
        eprintln!(
            "landfall: fetching the newest {MISSING_MAX} objects; there may be more, so run it again afterwards"
        );
    }
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
    if unknown > 0 {
        eprintln!(
            "landfall: skipped {unknown} that OpenAI does not know and that no webhook referred to: mistyped IDs?"
        );
    }
    Ok(targets)
}

/// Whether only `landfall fetch` ever asked for the object, so that it is probably a mistyped id.
async fn is_unknown(store: &Store, object: &UnfetchedObject) -> Result<bool, CliError> {
    let events = store.events_about(&object.object_id).await?;
    let is_made = |event: &EventRecord| event.webhook_id.starts_with(SyntheticEvent::ID_PREFIX);
    Ok(!events.is_empty() && events.iter().all(is_made))
}

/// The objects with these ids; [`ExitStatus::Negative`] when one of them cannot be fetched.
pub(super) async fn named(store: &Store, ids: &[String]) -> Result<(Vec<Target>, ExitStatus), CliError> {
    let (mut targets, mut exit_status) = (Vec::<Target>::new(), ExitStatus::Success);
    for id in ids {
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
        if found.is_empty() {
            let shown = printable::one_line(id);
            if events.is_empty() {
                eprintln!(
                    "landfall: {shown} is not the ID of an object that can be fetched, which starts with resp_, batch_, \
                     ftjob- or evalrun_; for events, use `landfall replay`"
                );
            } else {
                eprintln!("landfall: there is nothing to fetch for {shown}: its event contains all of it");
            }
            exit_status = ExitStatus::Negative;
        }
        for (project, family) in found {
            let same = |target: &Target| target.project == project && target.object_id == *id;
            if !targets.iter().any(same) {
                targets.push(Target { project, object_id: id.clone(), family });
            }
        }
    }
    Ok((targets, exit_status))
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
