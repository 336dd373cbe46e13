//! Which objects are fetched, and which event about each makes a worker do it.

use chrono::{DateTime, Utc};
use store::{EventRecord, Store, UnfetchedObject};
use webhook::{Family, FetchState};

use crate::again::MadeEvent;
use crate::exit::{Answer, Failure};
use crate::printable;

/// Objects of one run. Whoever misses more repairs them in several.
const MISSING_MAX: u32 = 100_000;
/// The only project so far that an event can be made for.
const PROJECT: &str = "default";

/// An object that a worker shall fetch.
pub(super) struct Target {
    pub(super) project: String,
    pub(super) object_id: String,
    pub(super) family: Family,
}

/// The event that makes a worker fetch it.
pub(super) enum Cause {
    Stored(Box<EventRecord>),
    Made(MadeEvent),
}

impl Target {
    /// The newest event about the object, or one made for it.
    pub(super) async fn cause(&self, store: &Store) -> Result<Cause, Failure> {
        let events = store.events_about(&self.object_id).await?;
        let about = |event: &EventRecord| event.project == self.project && event.family == self.family;
        Ok(match (events.into_iter().find(about), event_type(self.family)) {
            (Some(event), _) => Cause::Stored(Box::new(event)),
            (None, Some(event_type)) => {
                Cause::Made(MadeEvent::about(&self.object_id, event_type, &self.project))
            }
            (None, None) => unreachable!("only families with objects have targets"),
        })
    }
}

/// All that is known but was not fetched.
pub(super) async fn missing(store: &Store, since: Option<DateTime<Utc>>) -> Result<Vec<Target>, Failure> {
    let objects = store.unfetched_objects(since, MISSING_MAX).await?;
    if objects.len() == MISSING_MAX as usize {
        eprintln!("landfall: only the newest {MISSING_MAX} objects are fetched; there may be more");
    }
    let (mut targets, mut unknown) = (Vec::with_capacity(objects.len()), 0_usize);
    for object in objects {
        if object.fetch_state == FetchState::NotFound && is_unknown(store, &object).await? {
            unknown += 1;
            continue;
        }
        let UnfetchedObject { project, object_id, family, .. } = object;
        // What only another version can fetch is left to it.
        if let Some(family) = family.known() {
            targets.push(Target { project, object_id, family });
        }
    }
    if unknown > 0 {
        eprintln!(
            "landfall: left out {unknown} that OpenAI does not know, and no webhook was about: mistyped ids?"
        );
    }
    Ok(targets)
}

/// An id that only an operator asked for is missing nowhere when OpenAI does not know it.
async fn is_unknown(store: &Store, object: &UnfetchedObject) -> Result<bool, Failure> {
    let events = store.events_about(&object.object_id).await?;
    let is_made = |event: &EventRecord| event.webhook_id.starts_with(MadeEvent::ID_PREFIX);
    Ok(!events.is_empty() && events.iter().all(is_made))
}

/// What the ids name; `No` when one of them names nothing that can be fetched.
pub(super) async fn named(store: &Store, ids: &[String]) -> Result<(Vec<Target>, Answer), Failure> {
    let (mut targets, mut answer) = (Vec::<Target>::new(), Answer::Yes);
    for id in ids {
        let events = store.events_about(id).await?;
        let mut found: Vec<(String, Family)> = events
            .iter()
            .filter_map(|event| {
                let family = event.family.known().filter(|family| event_type(*family).is_some())?;
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
                    "landfall: {shown} is no id that can be fetched: those begin with resp_, batch_, ftjob- or \
                     evalrun_; for events there is `landfall replay`"
                );
            } else {
                eprintln!("landfall: there is nothing to fetch about {shown}; all of it is in its event");
            }
            answer = Answer::No;
        }
        for (project, family) in found {
            let same = |target: &Target| target.project == project && target.object_id == *id;
            if !targets.iter().any(same) {
                targets.push(Target { project, object_id: id.clone(), family });
            }
        }
    }
    Ok((targets, answer))
}

/// The kind of an object, by how OpenAI begins its ids.
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

/// An event after which a worker fetches; the object itself says what has really become of it.
fn event_type(family: Family) -> Option<&'static str> {
    match family {
        Family::Response => Some("response.completed"),
        Family::Batch => Some("batch.completed"),
        Family::FineTuning => Some("fine_tuning.job.succeeded"),
        Family::Eval => Some("eval.run.succeeded"),
        Family::Realtime | Family::Agent | Family::Safety | Family::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use webhook::EventKind;

    #[test]
    fn ids_tell_their_family_and_the_made_event_is_of_it() {
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
                assert_eq!(EventKind::from_name(name).family(), family);
            }
        }
    }
}
