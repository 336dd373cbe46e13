//! Follows the changes that workers announce in Redis, over one connection for the whole process, and hands them on: to
//! those who wait for an object, and to the clients of the event stream.

use std::time::Duration;

use error_text::chain;
use queue::{Change, ChangeFollower, Followed, QueueConfig};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

/// Longest wait for a change.
const FOLLOW: Duration = Duration::from_secs(5);
/// Between two attempts while Redis is down. So often the database is read then.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Changes that a slow client of the event stream may be behind; beyond that it sees a gap.
const BEHIND_MAX: usize = 4096;

/// Which objects to look up again.
#[derive(Debug, Clone)]
pub(crate) enum Recheck {
    /// These objects.
    Objects(Vec<String>),
    /// Anything: changes were missed, or Redis is down.
    All,
}

/// What clients of the event stream get.
#[derive(Debug, Clone)]
pub(crate) enum Announced {
    Change(Change),
    Gap,
}

/// The changes as they come, for any number of clients.
#[derive(Debug, Clone)]
pub(crate) struct Changes(broadcast::Sender<Announced>);

impl Changes {
    /// Begins to follow, until `stopped`.
    pub(crate) fn start(
        queue: QueueConfig,
        rechecks: mpsc::Sender<Recheck>,
        stopped: CancellationToken,
    ) -> Self {
        let changes = Self(broadcast::Sender::new(BEHIND_MAX));
        let announced = changes.clone();
        tokio::spawn(async move {
            stopped.run_until_cancelled(follow(&queue, &rechecks, &announced)).await;
        });
        changes
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Announced> {
        self.0.subscribe()
    }

    /// Without subscribers, it is dropped.
    fn announce(&self, announced: Announced) {
        self.0.send(announced).ok();
    }
}

async fn follow(queue: &QueueConfig, rechecks: &mpsc::Sender<Recheck>, changes: &Changes) {
    let mut follower = None;
    let mut was_down = false;
    loop {
        match read(queue, &mut follower).await {
            Ok(read) => {
                if std::mem::take(&mut was_down) {
                    tracing::info!("Redis is back: following the changes again");
                }
                hand_on(read, rechecks, changes).await;
            }
            Err(error) => {
                if !std::mem::replace(&mut was_down, true) {
                    tracing::error!(
                        error = chain(&error),
                        "Redis is down: reading the database once a second"
                    );
                }
                rechecks.send(Recheck::All).await.ok();
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

/// The first read only finds where the changes are now: all that came before must be looked up.
async fn read(
    queue: &QueueConfig,
    follower: &mut Option<ChangeFollower>,
) -> Result<Followed, queue::QueueError> {
    match follower {
        Some(follower) => follower.next(FOLLOW).await,
        None => {
            *follower = Some(ChangeFollower::from_now(queue).await?);
            Ok(Followed::Gap)
        }
    }
}

async fn hand_on(read: Followed, rechecks: &mpsc::Sender<Recheck>, changes: &Changes) {
    match read {
        Followed::Gap => {
            rechecks.send(Recheck::All).await.ok();
            changes.announce(Announced::Gap);
        }
        Followed::Changes(new) if new.is_empty() => {}
        Followed::Changes(new) => {
            let objects = new.iter().map(|change| change.object_id.clone()).collect();
            rechecks.send(Recheck::Objects(objects)).await.ok();
            for change in new {
                changes.announce(Announced::Change(change));
            }
        }
    }
}
