//! Those who wait for objects. All of them cost one connection to Redis, and no query of the database until something
//! changes that one of them waits for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use error_text::chain;
use operations::{ObjectId, ObjectState, states};
use queue::QueueAdmin;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use webhook::FinalState;

use crate::bodies::BodyAccess;
use crate::changes::Recheck;
use crate::database::Database;
use crate::problem::ApiError;
use crate::shared_answer::SharedAnswer;

/// How many may wait at once.
const WAITERS_MAX: usize = 12_000;
/// How many may be on their way to be looked up.
const REGISTRATIONS_MAX: usize = 1000;
/// Objects looked up by one query.
const OBJECTS_PER_QUERY: usize = 500;
/// After a failed look.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// A restart of Redis takes less. After that, lost objects are final although the queue cannot be read.
const UNCONFIRMED_MAX: Duration = Duration::from_secs(15);

/// How an object ended. All who waited for it then get the same one.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) state: FinalState,
    whole: SharedAnswer,
    without_bodies: SharedAnswer,
}

impl Ending {
    fn new(state: FinalState) -> Self {
        Self { state, whole: SharedAnswer::default(), without_bodies: SharedAnswer::default() }
    }

    /// The answer for all callers with the same access.
    pub(crate) fn answer(&self, bodies: BodyAccess) -> &SharedAnswer {
        match bodies {
            BodyAccess::Granted => &self.whole,
            BodyAccess::Withheld(_) => &self.without_bodies,
        }
    }
}

/// One who waits, and for what.
struct Registration {
    id: ObjectId,
    ended: oneshot::Sender<Arc<Ending>>,
}

/// Lets handlers wait. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Waiting {
    registrations: mpsc::Sender<Registration>,
    places: Arc<Semaphore>,
}

impl Waiting {
    /// Begins to look after those who wait, until `stopped`.
    pub(crate) fn start(
        database: Database,
        queue: QueueAdmin,
        rechecks: mpsc::Receiver<Recheck>,
        stopped: CancellationToken,
    ) -> Self {
        let (registrations, registered) = mpsc::channel(REGISTRATIONS_MAX);
        let room = WaitingRoom {
            database,
            queue,
            waiting: HashMap::new(),
            unchecked: HashSet::new(),
            unconfirmed_since: None,
            registered: 0,
        };
        tokio::spawn(async move {
            stopped.run_until_cancelled(room.run(registered, rechecks)).await;
        });
        Self { registrations, places: Arc::new(Semaphore::new(WAITERS_MAX)) }
    }

    /// Waits until the object is stored or lost; `None` when the time is over, or the console stops.
    ///
    /// # Errors
    /// When too many wait.
    pub(crate) async fn wait(
        &self,
        id: ObjectId,
        at_most: Duration,
    ) -> Result<Option<Arc<Ending>>, ApiError> {
        let (ended, ending) = oneshot::channel();
        let _place = self.places.try_acquire().map_err(|_| ApiError::TooMany("requests that wait"))?;
        let until_ended = async {
            self.registrations.send(Registration { id, ended }).await.ok()?;
            ending.await.ok()
        };
        Ok(tokio::time::timeout(at_most, until_ended).await.ok().flatten())
    }
}

/// All who wait, by object.
struct WaitingRoom {
    database: Database,
    queue: QueueAdmin,
    waiting: HashMap<ObjectId, Vec<oneshot::Sender<Arc<Ending>>>>,
    /// What may have ended since it was last looked up.
    unchecked: HashSet<ObjectId>,
    unconfirmed_since: Option<Instant>,
    /// All that ever waited.
    registered: usize,
}

impl WaitingRoom {
    async fn run(
        mut self,
        mut registered: mpsc::Receiver<Registration>,
        mut rechecks: mpsc::Receiver<Recheck>,
    ) {
        let mut retry_at = None;
        loop {
            tokio::select! {
                registration = registered.recv() => {
                    let Some(registration) = registration else { return };
                    self.register(registration);
                }
                changed = rechecks.recv() => {
                    let Some(changed) = changed else { return };
                    self.note(changed);
                }
                () = sleep_until(retry_at), if retry_at.is_some() => {}
            }
            // All that has come meanwhile is looked up together: one look at a time keeps up with any number.
            while let Ok(registration) = registered.try_recv() {
                self.register(registration);
            }
            while let Ok(changed) = rechecks.try_recv() {
                self.note(changed);
            }
            retry_at = self.look().await.then(|| Instant::now() + RETRY_INTERVAL);
        }
    }

    fn register(&mut self, registration: Registration) {
        self.registered += 1;
        if self.registered.is_multiple_of(WAITERS_MAX) {
            self.forget_those_who_left();
        }
        self.unchecked.insert(registration.id.clone());
        self.waiting.entry(registration.id).or_default().push(registration.ended);
    }

    fn forget_those_who_left(&mut self) {
        self.waiting.retain(|_, waiting| {
            waiting.retain(|ended| !ended.is_closed());
            !waiting.is_empty()
        });
    }

    fn note(&mut self, rechecks: Recheck) {
        match rechecks {
            Recheck::All => {
                self.forget_those_who_left();
                self.unchecked.extend(self.waiting.keys().cloned());
            }
            Recheck::Objects(ids) => {
                let known = ids.iter().filter_map(|id| id.parse().ok());
                self.unchecked.extend(known.filter(|id: &ObjectId| self.waiting.contains_key(id)));
            }
        }
    }

    /// Looks up what is unchecked, and tells those who wait for what has ended. Returns whether to look again soon.
    async fn look(&mut self) -> bool {
        let ids: Vec<ObjectId> = self.unchecked.drain().collect();
        let mut again = false;
        for ids in ids.chunks(OBJECTS_PER_QUERY) {
            match self.look_up(ids).await {
                Ok(unconfirmed) => {
                    again |= !unconfirmed.is_empty();
                    self.unchecked.extend(unconfirmed);
                }
                Err(error) => {
                    tracing::warn!(error = chain(&error), "the objects that are waited for cannot be read");
                    self.unchecked.extend(ids.iter().cloned());
                    again = true;
                }
            }
        }
        if self.unchecked.is_empty() {
            self.unconfirmed_since = None;
        }
        again
    }

    /// Returns the objects that are lost if nothing in the queue says otherwise, which cannot be read.
    async fn look_up(&mut self, ids: &[ObjectId]) -> Result<Vec<ObjectId>, ApiError> {
        let found = states(self.database.reader().await?, &self.queue, ids).await?;
        let mut unconfirmed = Vec::new();
        for (id, state) in ids.iter().zip(found) {
            match state {
                ObjectState::Waiting => {}
                ObjectState::Final(state) => self.end(id, state),
                ObjectState::Unconfirmed(state) => {
                    let since = *self.unconfirmed_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= UNCONFIRMED_MAX {
                        self.end(id, state);
                    } else {
                        unconfirmed.push(id.clone());
                    }
                }
            }
        }
        Ok(unconfirmed)
    }

    fn end(&mut self, id: &ObjectId, state: FinalState) {
        let ending = Arc::new(Ending::new(state));
        for waiting in self.waiting.remove(id).unwrap_or_default() {
            // It may have left.
            waiting.send(Arc::clone(&ending)).ok();
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at).await;
    }
}
