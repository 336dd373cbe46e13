//! [`Store`]: notifications, from the outbox to their end.

use chrono::{DateTime, Utc};
use webhook::{MaybeKnown, NotificationState};

use super::Store;
use crate::error::StoreError;
use crate::notification::{
    AttemptEnd, LeaseRequest, Leased, NewNotification, NotificationAttempt, NotificationFilter,
    NotificationRecord,
};
use crate::tables::{notification_leases, notification_targets, notifications};
use crate::target_health::{TargetHealth, TargetState};

/// Notifications. Most are written by the calls that store what they tell of.
impl Store {
    /// Writes notifications that no event's row goes with.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn add_notifications(&self, new: &[NewNotification]) -> Result<(), StoreError> {
        let done = notifications::add(&self.database, new).await;
        done.map_err(StoreError::database("write notifications"))
    }

    /// Takes due notifications of a target, those due first, as far as its rate and its state allow. Nobody else gets
    /// them while the lease runs.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub async fn lease_notifications(
        &self,
        request: &LeaseRequest,
        now: DateTime<Utc>,
    ) -> Result<Leased, StoreError> {
        let leased = notification_leases::lease(&self.database, request, now).await;
        leased.map_err(StoreError::database("take notifications"))
    }

    /// Writes how an attempt ended, and what that says of its target. False when the lease was lost.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn settle_notification(&self, end: &AttemptEnd) -> Result<bool, StoreError> {
        let settled = notification_leases::settle(&self.database, end).await;
        settled.map_err(StoreError::database("settle a notification"))
    }

    /// Gives back what was leased to `owner`; not an attempt.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn hand_back_notifications(&self, owner: &str) -> Result<(), StoreError> {
        let done = notification_leases::hand_back(&self.database, owner).await;
        done.map_err(StoreError::database("hand notifications back"))
    }

    /// Begins a notification's schedule anew, delivered or not; `None` when there is none of that id.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn retry_notification(
        &self,
        id: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<NotificationRecord>, StoreError> {
        let again = notifications::retry(&self.database, id, now).await;
        again.map_err(StoreError::database("retry a notification"))
    }

    /// Notifications, the newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list_notifications(
        &self,
        filter: &NotificationFilter,
    ) -> Result<Vec<NotificationRecord>, StoreError> {
        let list = notifications::list(&self.database, filter).await;
        list.map_err(StoreError::database("list notifications"))
    }

    /// Notifications of this id: one in each project at most.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn notifications_named(&self, id: &str) -> Result<Vec<NotificationRecord>, StoreError> {
        let named = notifications::named(&self.database, id).await;
        named.map_err(StoreError::database("read a notification"))
    }

    /// A notification's attempts so far.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn notification_attempts(
        &self,
        project: &str,
        id: &str,
    ) -> Result<Vec<NotificationAttempt>, StoreError> {
        let attempts = notifications::attempts(&self.database, project, id).await;
        attempts.map_err(StoreError::database("read a notification's attempts"))
    }

    /// How many notifications there are of each target and state.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count_notifications(
        &self,
    ) -> Result<Vec<(String, MaybeKnown<NotificationState>, u64)>, StoreError> {
        let count = notifications::count(&self.database).await;
        count.map_err(StoreError::database("count notifications"))
    }

    /// How many notifications are still to be delivered, by target.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn pending_notifications(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let pending = notifications::pending(&self.database).await;
        pending.map_err(StoreError::database("count notifications"))
    }

    /// Targets that something is known of.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn target_health(&self) -> Result<Vec<TargetHealth>, StoreError> {
        let list = notification_targets::list(&self.database).await;
        list.map_err(StoreError::database("read the targets' state"))
    }

    /// Pauses a target, or resumes it as good as new. What was known of it before.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn set_target_state(
        &self,
        target: &str,
        state: TargetState,
        now: DateTime<Utc>,
    ) -> Result<TargetHealth, StoreError> {
        let before = notification_targets::set_state(&self.database, target, state, now).await;
        before.map_err(StoreError::database("set a target's state"))
    }
}
