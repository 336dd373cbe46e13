//! What state an object is in: the one place that decides whether it is stored, lost, or still to be waited for.

use std::collections::{BTreeMap, HashMap};

use queue::QueueAdmin;
use store::{ObjectProgress, Store, StoreError};
use webhook::{Family, FetchState, FinalState};

use crate::object_id::{ObjectId, ObjectKind};

/// The state of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectState {
    /// Nothing is known of it yet, or its event is not settled.
    Waiting,
    Final(FinalState),
    /// Lost as far as the database knows. Redis, where a new entry may wait, could not be read.
    Unconfirmed(FinalState),
}

/// What the database says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Waiting,
    Stored,
    /// Unless a new entry for it is in the queue.
    Lost(FinalState),
}

/// The state of each object, in the order of the ids. The queue is only read for objects that are lost.
///
/// # Errors
/// When the database cannot be read.
pub async fn states(
    store: &Store,
    queue: &QueueAdmin,
    ids: &[ObjectId],
) -> Result<Vec<ObjectState>, StoreError> {
    let known = known_of(store, ids).await?;
    let mut lost: BTreeMap<Family, Vec<ObjectId>> = BTreeMap::new();
    for (id, known) in ids.iter().zip(&known) {
        if let Known::Lost(_) = known {
            lost.entry(id.kind().family()).or_default().push(id.clone());
        }
    }
    let mut of_lost = HashMap::new();
    for (family, ids) in lost {
        let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let queued = queue.queued_objects(family, &names).await.ok();
        // Read again: an entry that has left the queue since the first read has changed the row.
        for (id, known) in ids.iter().zip(known_of(store, &ids).await?) {
            let state = match (known, &queued) {
                (Known::Lost(state), None) => ObjectState::Unconfirmed(state),
                (Known::Lost(_), Some(queued)) if queued.iter().any(|name| name == id.as_str()) => {
                    ObjectState::Waiting
                }
                (known, _) => known.into(),
            };
            of_lost.insert(id.clone(), state);
        }
    }
    let state = |(id, known): (&ObjectId, Known)| of_lost.get(id).copied().unwrap_or_else(|| known.into());
    Ok(ids.iter().zip(known).map(state).collect())
}

impl From<Known> for ObjectState {
    fn from(known: Known) -> Self {
        match known {
            Known::Waiting => Self::Waiting,
            Known::Stored => Self::Final(FinalState::Stored),
            Known::Lost(state) => Self::Final(state),
        }
    }
}

async fn known_of(store: &Store, ids: &[ObjectId]) -> Result<Vec<Known>, StoreError> {
    let objects: Vec<(Family, &str)> = ids.iter().map(|id| (id.kind().family(), id.as_str())).collect();
    let progress = store.object_progress(&objects).await?;
    Ok(ids.iter().zip(&progress).map(|(id, progress)| known(id.kind(), progress)).collect())
}

/// An object with a stored event is final, whatever became of its other events, if its row is complete.
fn known(kind: ObjectKind, progress: &ObjectProgress) -> Known {
    let ObjectProgress { has_stored_event, has_open_event, has_dead_event, row } = progress;
    let has_events = *has_stored_event || *has_open_event || *has_dead_event;
    if let Some(row) = row {
        let state = row.fetch_state.known().map_or(FinalState::Stored, FinalState::from);
        let is_complete = row.is_complete
            // There is nothing to fetch.
            || row.fetch_state == FetchState::Off
            // A replay may fetch its files again; they were all settled before.
            || (kind == ObjectKind::Response && *has_stored_event);
        match state {
            // Without any event, it was imported, or its events were pruned.
            FinalState::Stored if is_complete && (*has_stored_event || !has_events) => return Known::Stored,
            FinalState::Stored if kind == ObjectKind::AgentSession && *has_stored_event => {
                return Known::Waiting;
            }
            FinalState::Stored => {}
            _ if *has_open_event => return Known::Waiting,
            lost => return Known::Lost(lost),
        }
    }
    match (has_open_event, has_dead_event) {
        (true, _) => Known::Waiting,
        // Only the event is stored, such as of a live session.
        (false, _) if *has_stored_event && row.is_none() => Known::Stored,
        (false, true) => Known::Lost(FinalState::Dead),
        (false, false) => Known::Waiting,
    }
}

#[cfg(test)]
mod tests {
    use store::ObjectRow;

    use super::*;

    const DEAD: Known = Known::Lost(FinalState::Dead);

    /// Events, row and the decision.
    type Case = (&'static str, Option<(FetchState, bool)>, Known);

    /// Events by the first letter of their state: stored, open, dead.
    fn progress(events: &str, row: Option<(FetchState, bool)>) -> ObjectProgress {
        ObjectProgress {
            has_stored_event: events.contains('s'),
            has_open_event: events.contains('o'),
            has_dead_event: events.contains('d'),
            row: row
                .map(|(fetch_state, is_complete)| ObjectRow { fetch_state: fetch_state.into(), is_complete }),
        }
    }

    fn check(kind: ObjectKind, cases: &[Case]) {
        for (events, row, expected) in cases {
            assert_eq!(known(kind, &progress(events, *row)), *expected, "{kind}: {events:?} {row:?}");
        }
    }

    #[test]
    fn an_object_is_stored_once_its_event_is() {
        use FetchState::{Fetched, Off};
        check(
            ObjectKind::Response,
            &[
                ("", None, Known::Waiting),
                ("o", None, Known::Waiting),
                ("o", Some((Fetched, true)), Known::Waiting),
                ("s", Some((Fetched, true)), Known::Stored),
                ("s", Some((Off, true)), Known::Stored),
                ("so", Some((Fetched, true)), Known::Stored),
                ("sd", Some((Fetched, true)), Known::Stored),
                // Its files are fetched again.
                ("s", Some((Fetched, false)), Known::Stored),
                // Its events were pruned; or its files are being fetched, and its event is not written yet.
                ("", Some((Fetched, true)), Known::Stored),
                ("", Some((Fetched, false)), Known::Waiting),
                ("s", None, Known::Stored),
            ],
        );
    }

    #[test]
    fn a_batch_also_needs_its_results() {
        use FetchState::{Expired, Fetched, NotFound, Off};
        check(
            ObjectKind::Batch,
            &[
                ("s", Some((Fetched, true)), Known::Stored),
                ("s", Some((Fetched, false)), Known::Waiting),
                ("so", Some((Fetched, false)), Known::Waiting),
                ("sd", Some((Fetched, false)), DEAD),
                ("s", Some((Off, false)), Known::Stored),
                ("s", Some((Expired, false)), Known::Lost(FinalState::Expired)),
                ("s", Some((NotFound, false)), Known::Lost(FinalState::NotFound)),
            ],
        );
    }

    #[test]
    fn a_lost_object_is_waited_for_while_an_event_is_open() {
        use FetchState::{Fetched, Forbidden, NotFound};
        check(
            ObjectKind::EvalRun,
            &[
                ("s", Some((NotFound, true)), Known::Lost(FinalState::NotFound)),
                ("s", Some((Forbidden, true)), Known::Lost(FinalState::Forbidden)),
                ("so", Some((NotFound, true)), Known::Waiting),
                ("", Some((NotFound, true)), Known::Lost(FinalState::NotFound)),
                ("d", None, DEAD),
                ("d", Some((Fetched, true)), DEAD),
                ("od", None, Known::Waiting),
            ],
        );
    }

    #[test]
    fn a_session_is_waited_for_until_its_newest_turn_has_ended() {
        use FetchState::{Fetched, Forbidden};
        check(
            ObjectKind::AgentSession,
            &[
                ("s", Some((Fetched, false)), Known::Waiting),
                ("sd", Some((Fetched, false)), Known::Waiting),
                ("s", Some((Fetched, true)), Known::Stored),
                ("so", Some((Fetched, true)), Known::Stored),
                ("s", Some((Forbidden, false)), Known::Lost(FinalState::Forbidden)),
                ("d", None, DEAD),
                // A live session has only events.
                ("s", None, Known::Stored),
            ],
        );
    }
}
