//! The tables `notifications` and `notification_attempts` for senders: due notifications are leased, sent and settled.
//! Every transaction locks the target first, so that no two deadlock.

use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use webhook::{NotificationState, Reason};

use super::upsert::insert;
use super::{notification_targets as targets, notifications};
use crate::columns::Record as _;
use crate::database::{Database, WriteTransaction};
use crate::error::StoreError;
use crate::notification::{
    AttemptEnd, LeaseRequest, Leased, NextStep, NotificationAttempt, NotificationRecord,
};
use crate::schema::NOTIFICATION_ATTEMPTS;
use crate::store::Store;
use crate::target_health::{Allowance, TargetFailure};
use crate::value::Value;

const TAKE: &str = "lease notifications";
const EXPIRE: &str = "give up late notifications";

/// Longer errors are truncated; the log has the whole error.
const ERROR_CHARS_MAX: usize = 500;

impl Store {
    /// Leases due notifications of a target, the earliest due first, as far as its rate limit and state allow. No other
    /// worker gets them during the lease. Idle polls only read.
    pub async fn lease_notifications(
        &self,
        request: &LeaseRequest,
        now: DateTime<Utc>,
    ) -> Result<Leased, StoreError> {
        let next_at = next_due(&self.database, request, now).await?;
        if next_at.is_none_or(|at| at > now) {
            return Ok(Leased { next_at, ..Leased::default() });
        }
        let steps = async |transaction: &mut WriteTransaction| lease(transaction, request, now).await;
        self.database.write(TAKE, steps).await
    }

    /// Gives up the notifications of a target whose time to live is over, and returns them. An attempt that is under way
    /// ends first. Idle polls only read.
    pub async fn expire_notifications(
        &self,
        target: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<NotificationRecord>, StoreError> {
        let values = [Value::text(target), Value::time(now)];
        let select = "SELECT id FROM notifications WHERE target = $1 AND urgent AND state = 'pending' \
                      AND expires_at <= $2 AND (lease_until IS NULL OR lease_until <= $2) LIMIT 1";
        if self.database.read(EXPIRE, select, &values, |row| row.get::<String>("id")).await?.is_empty() {
            return Ok(Vec::new());
        }
        let steps = async |transaction: &mut WriteTransaction| expire(transaction, target, now).await;
        self.database.write(EXPIRE, steps).await
    }

    /// Records how an attempt ended, and updates the health of its target. False if the lease had expired: then only
    /// the target's health is updated.
    pub async fn settle_notification(&self, end: &AttemptEnd) -> Result<bool, StoreError> {
        let steps = async |transaction: &mut WriteTransaction| settle(transaction, end).await;
        self.database.write("settle a notification", steps).await
    }

    /// Releases the notifications leased to `owner`: still due, without counting an attempt.
    pub async fn release_notifications(&self, owner: &str) -> Result<(), StoreError> {
        let update = "UPDATE notifications SET lease_owner = NULL, lease_until = NULL WHERE lease_owner = $1";
        let values = [Value::text(owner)];
        let steps = async |transaction: &mut WriteTransaction| transaction.execute(update, &values).await;
        self.database.write("release notifications", steps).await.map(drop)
    }
}

async fn lease(
    transaction: &mut WriteTransaction,
    request: &LeaseRequest,
    now: DateTime<Utc>,
) -> sqlx::Result<Leased> {
    let health = targets::lock_in(transaction, &request.target).await?;
    let (limit, is_probe) = match health.allowance(request, now) {
        Allowance::UpTo(count) => (count, false),
        Allowance::Probe => (1, true),
        Allowance::NotBefore(at) => return Ok(Leased { next_at: Some(at), ..Leased::default() }),
        Allowance::Stopped => return Ok(Leased::default()),
    };
    let notifications = take(transaction, request, limit, now).await?;
    let taken = u32::try_from(notifications.len()).unwrap_or(u32::MAX);
    if taken > 0 {
        let mut health = health.taken(taken, request.rate_per_sec, now);
        if is_probe {
            health = health.probing(request.lease_for, now);
        }
        targets::write_in(transaction, &health).await?;
    }
    Ok(Leased { notifications, is_probe, next_at: None })
}

/// When the first notification without a lease is due.
async fn next_due(
    database: &Database,
    request: &LeaseRequest,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let select = "SELECT next_attempt_at FROM notifications WHERE target = $1 AND urgent = $2 AND state = 'pending' \
                  AND (lease_until IS NULL OR lease_until <= $3) ORDER BY next_attempt_at LIMIT 1";
    let values = [Value::text(&request.target), request.urgent.into(), Value::time(now)];
    let due = database.read(TAKE, select, &values, |row| row.time("next_attempt_at")).await?;
    Ok(due.into_iter().flatten().next())
}

async fn take(
    transaction: &mut WriteTransaction,
    request: &LeaseRequest,
    limit: u32,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<NotificationRecord>> {
    let until = now + TimeDelta::from_std(request.lease_for).unwrap_or(TimeDelta::days(1));
    let rows = transaction
        .fetch_all(
            "UPDATE notifications SET lease_owner = $1, lease_until = $2 WHERE (project, id) IN \
             (SELECT project, id FROM notifications WHERE target = $3 AND urgent = $4 AND state = 'pending' \
              AND next_attempt_at <= $5 AND (lease_until IS NULL OR lease_until <= $5) \
              ORDER BY next_attempt_at, created_at, id LIMIT $6) RETURNING *",
            &[
                Value::text(&request.owner),
                Value::time(until),
                Value::text(&request.target),
                request.urgent.into(),
                Value::time(now),
                limit.into(),
            ],
        )
        .await?;
    let mut taken = rows.iter().map(notifications::record).collect::<sqlx::Result<Vec<_>>>()?;
    taken.sort_by(|a, b| {
        let order = |record: &NotificationRecord| (record.next_attempt_at, record.notification.created_at);
        order(a).cmp(&order(b)).then_with(|| a.notification.id.cmp(&b.notification.id))
    });
    Ok(taken)
}

async fn expire(
    transaction: &mut WriteTransaction,
    target: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<NotificationRecord>> {
    targets::lock_in(transaction, target).await?;
    let rows = transaction
        .fetch_all(
            "UPDATE notifications SET state = $3, reason = $4, next_attempt_at = NULL, lease_owner = NULL, \
             lease_until = NULL WHERE target = $1 AND urgent AND state = 'pending' AND expires_at <= $2 \
             AND (lease_until IS NULL OR lease_until <= $2) RETURNING *",
            &[
                Value::text(target),
                Value::time(now),
                Value::member(NotificationState::GivenUp),
                Value::member(Reason::TooLate),
            ],
        )
        .await?;
    rows.iter().map(notifications::record).collect()
}

/// Settles notifications that were sent before their rows, in the transaction that writes the rows. A row that another
/// worker has already settled does not change. Targets are locked in their order, so that two groups do not deadlock.
pub(super) async fn settle_early<'e>(
    transaction: &mut WriteTransaction,
    ends: impl Iterator<Item = &'e AttemptEnd>,
) -> sqlx::Result<()> {
    let mut ends: Vec<&AttemptEnd> = ends.collect();
    ends.sort_by(|a, b| a.target.cmp(&b.target));
    for end in ends {
        settle(transaction, end).await?;
    }
    Ok(())
}

async fn settle(transaction: &mut WriteTransaction, end: &AttemptEnd) -> sqlx::Result<bool> {
    let health = targets::lock_in(transaction, &end.target).await?;
    let error: Option<String> =
        end.attempt.error.as_ref().map(|error| error.chars().take(ERROR_CHARS_MAX).collect());
    let is_settled = settle_in(transaction, end, error.as_deref()).await?;
    if is_settled {
        log_attempt(transaction, end, error.as_deref()).await?;
    }
    // The breaker was open, and the target has recovered.
    let has_recovered = end.next == NextStep::Delivered && health.failures_in_row >= end.breaker.failures_max;
    let is_well = health.failures_in_row == 0 && health.open_until.is_none();
    let health = match end.next {
        NextStep::Delivered if is_well => None,
        NextStep::Delivered => Some(health.after_success(end.at)),
        NextStep::RetryAt(_) | NextStep::GiveUp(_) => {
            let (is_probe, is_gone, retry_after) = (end.is_probe, end.is_gone, end.retry_after);
            let failure = TargetFailure { is_probe, is_gone, retry_after, at: end.at };
            Some(health.after_failure(failure, end.breaker))
        }
    };
    if let Some(health) = health {
        targets::write_in(transaction, &health).await?;
    }
    if has_recovered {
        make_due(transaction, end).await?;
    }
    Ok(is_settled)
}

async fn settle_in(
    transaction: &mut WriteTransaction,
    end: &AttemptEnd,
    error: Option<&str>,
) -> sqlx::Result<bool> {
    let (state, reason) = match end.next {
        NextStep::Delivered => (NotificationState::Delivered, None),
        NextStep::RetryAt(_) => (NotificationState::Pending, None),
        NextStep::GiveUp(reason) => (NotificationState::GivenUp, Some(reason)),
    };
    let (next_at, delivered_at) = match end.next {
        NextStep::Delivered => (None, Some(end.at)),
        NextStep::RetryAt(at) => (Some(at), None),
        NextStep::GiveUp(_) => (None, None),
    };
    let settled = transaction
        .execute(
            "UPDATE notifications SET state = $1, attempts = $2, next_attempt_at = $3, lease_owner = NULL, \
             lease_until = NULL, delivered_at = $4, last_status = $5, last_error = $6, reason = $7 \
             WHERE project = $8 AND id = $9 AND state = 'pending' AND lease_owner IS NOT DISTINCT FROM $10",
            &[
                Value::member(state),
                end.attempt.attempt.into(),
                Value::opt_time(next_at),
                Value::opt_time(delivered_at),
                end.attempt.status.into(),
                Value::opt_text(error),
                Value::opt_text(reason.map(Reason::as_str)),
                Value::text(&end.project),
                Value::text(&end.id),
                Value::opt_text(end.owner.as_deref()),
            ],
        )
        .await?;
    Ok(settled > 0)
}

/// Makes all pending notifications of a recovered target due now.
async fn make_due(transaction: &mut WriteTransaction, end: &AttemptEnd) -> sqlx::Result<()> {
    transaction
        .execute(
            "UPDATE notifications SET next_attempt_at = $1 WHERE target = $2 AND state = 'pending' \
             AND next_attempt_at > $1",
            &[Value::time(end.at), Value::text(&end.target)],
        )
        .await
        .map(drop)
}

static INSERT_ATTEMPT: LazyLock<String> = LazyLock::new(|| {
    insert(&NOTIFICATION_ATTEMPTS, &NOTIFICATION_ATTEMPTS.columns()) + " ON CONFLICT DO NOTHING"
});

async fn log_attempt(
    transaction: &mut WriteTransaction,
    end: &AttemptEnd,
    error: Option<&str>,
) -> sqlx::Result<()> {
    let mut values = vec![Value::text(&end.project), Value::text(&end.id)];
    let attempt = NotificationAttempt { error: error.map(str::to_owned), ..end.attempt.clone() };
    values.extend(attempt.values());
    transaction.execute(INSERT_ATTEMPT.as_str(), &values).await.map(drop)
}
