//! Waits until objects are stored or lost. Changes announced in Redis say when to look; without Redis, all objects are
//! read once a second. The database alone decides.

use std::collections::HashSet;
use std::time::Duration;

use queue::{ChangeFollower, Followed, QueueAdmin, QueueConfig, QueueError};
use store::{EventRecord, Store, StoreError};
use tokio::time::{Instant, sleep_until, timeout};
use webhook::{EventState, FinalState, MaybeKnown, Reason};

use crate::object_id::ObjectId;
use crate::object_state::{ObjectState, states};

/// Interval between two reads of the database while Redis is down.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// While Redis is down, how long a reconnected follower waits: shorter than the interval, so that it can succeed.
const PROBE: Duration = Duration::from_millis(300);
/// Longest wait for a change.
const FOLLOW: Duration = Duration::from_secs(5);
/// Rows that were imported, and entries that were removed manually, are not announced.
const RECHECK_INTERVAL: Duration = Duration::from_secs(30);
/// A restart of Redis takes less. After that, lost objects are final although the queue cannot be read.
const UNCONFIRMED_MAX: Duration = Duration::from_secs(15);

/// An object whose state is final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub id: ObjectId,
    pub state: FinalState,
    /// Why it is lost: that of its event.
    pub reason: Option<MaybeKnown<Reason>>,
    pub last_error: Option<String>,
}

/// Waits for a set of objects.
pub struct Waiter {
    store: Store,
    queue: QueueAdmin,
    config: QueueConfig,
    waiting: Vec<ObjectId>,
    /// `None` before Redis was first reached.
    follower: Option<ChangeFollower>,
    redis_is_down: bool,
    unchecked: Unchecked,
    checked_all_at: Instant,
    unconfirmed_since: Option<Instant>,
}

/// The objects to look at next.
enum Unchecked {
    All,
    Only(HashSet<String>),
}

impl Waiter {
    /// Connects to Redis on first use.
    ///
    /// # Errors
    /// When the URL of Redis is invalid.
    pub fn new(store: Store, queue: &QueueConfig, ids: Vec<ObjectId>) -> Result<Self, QueueError> {
        let mut seen = HashSet::new();
        Ok(Self {
            store,
            queue: QueueAdmin::new(queue)?,
            config: queue.clone(),
            waiting: ids.into_iter().filter(|id| seen.insert(id.clone())).collect(),
            follower: None,
            redis_is_down: false,
            unchecked: Unchecked::All,
            checked_all_at: Instant::now(),
            unconfirmed_since: None,
        })
    }

    /// The objects that have not ended yet.
    pub fn waiting(&self) -> &[ObjectId] {
        &self.waiting
    }

    /// Waits until at least one object has ended, and returns those that have; none when nothing is left to wait for. A
    /// cancelled or failed call loses nothing: the next one looks again.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn next(&mut self) -> Result<Vec<Ended>, StoreError> {
        while !self.waiting.is_empty() {
            let ended = self.check().await?;
            if !ended.is_empty() {
                self.waiting.retain(|id| !ended.iter().any(|ended| ended.id == *id));
                return Ok(ended);
            }
            self.wait_for_change().await;
        }
        Ok(Vec::new())
    }

    async fn check(&mut self) -> Result<Vec<Ended>, StoreError> {
        let (ids, checks_all) = match &self.unchecked {
            Unchecked::All => (self.waiting.clone(), true),
            Unchecked::Only(ids) => {
                (self.waiting.iter().filter(|id| ids.contains(id.as_str())).cloned().collect(), false)
            }
        };
        let (mut ended, mut unconfirmed) = (Vec::new(), false);
        for (id, state) in ids.iter().zip(states(&self.store, &self.queue, &ids).await?) {
            match state {
                ObjectState::Waiting => {}
                ObjectState::Final(state) => ended.push(self.ended(id, state).await?),
                ObjectState::Unconfirmed(state) => {
                    unconfirmed = true;
                    let since = *self.unconfirmed_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= UNCONFIRMED_MAX {
                        ended.push(self.ended(id, state).await?);
                    }
                }
            }
        }
        if checks_all {
            self.checked_all_at = Instant::now();
            self.unconfirmed_since = self.unconfirmed_since.filter(|_| unconfirmed);
        }
        self.unchecked = Unchecked::Only(HashSet::new());
        Ok(ended)
    }

    /// With the reason of the newest event that has one.
    async fn ended(&self, id: &ObjectId, state: FinalState) -> Result<Ended, StoreError> {
        let cause = match state {
            FinalState::Stored => None,
            _ => cause(&self.store, id.as_str(), state).await?,
        };
        let (reason, last_error) = cause.map(|event| (event.reason, event.last_error)).unwrap_or_default();
        Ok(Ended { id: id.clone(), state, reason, last_error })
    }

    /// Returns when there may be something to check.
    async fn wait_for_change(&mut self) {
        let started = Instant::now();
        let (wait, at_most) =
            if self.redis_is_down { (PROBE, POLL_INTERVAL) } else { (FOLLOW, FOLLOW + POLL_INTERVAL) };
        match timeout(at_most, self.follow(wait)).await {
            Ok(Ok(changed)) => {
                self.redis_is_down = false;
                let is_due = self.checked_all_at.elapsed() >= RECHECK_INTERVAL;
                self.unchecked = if is_due { Unchecked::All } else { changed };
            }
            Ok(Err(_)) | Err(_) => {
                self.redis_is_down = true;
                self.unchecked = Unchecked::All;
                sleep_until(started + POLL_INTERVAL).await;
            }
        }
    }

    /// Reads the next changes. Everything is unchecked after it began to follow, because no change before that is read.
    async fn follow(&mut self, wait: Duration) -> Result<Unchecked, QueueError> {
        let Some(follower) = &mut self.follower else {
            self.follower = Some(ChangeFollower::from_now(&self.config).await?);
            return Ok(Unchecked::All);
        };
        Ok(match follower.next(wait).await? {
            Followed::Gap => Unchecked::All,
            Followed::Changes(changes) => {
                Unchecked::Only(changes.into_iter().map(|change| change.object_id).collect())
            }
        })
    }
}

/// The newest event that says why an object is lost.
///
/// # Errors
/// When the database cannot be read.
pub async fn cause(store: &Store, id: &str, state: FinalState) -> Result<Option<EventRecord>, StoreError> {
    let events = store.events_about(id).await?;
    let is_cause = |event: &EventRecord| {
        event.reason.is_some() && (state != FinalState::Dead || event.state == EventState::Dead)
    };
    Ok(events.into_iter().find(is_cause))
}
