//! The dependencies of every handler, built once at start.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::Utc;
use error_text::chain;
use openai_client::Client;
use store::Store;

use crate::auth_failure_monitor::AuthFailureMonitor;
use crate::group_ack::GroupAck;
use crate::group_commit::GroupCommit;
use crate::job::Job;
use crate::metrics::Metrics;
use crate::notifications::{EarlySender, Outbox};
use crate::permits::Permits;
use crate::readiness::Readiness;
use crate::retry::RetryPolicy;

/// Shared by all loops of one worker.
pub(crate) struct Context {
    /// Its consumer name.
    pub(crate) worker: String,
    pub(crate) store: Store,
    pub(crate) group_commit: GroupCommit,
    pub(crate) group_ack: GroupAck,
    pub(crate) fetching: Fetching,
    pub(crate) retry: RetryPolicy,
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
    pub(crate) auth_failures: AuthFailureMonitor,
    pub(crate) permits: Permits,
    pub(crate) outbox: Outbox,
    pub(crate) batches: BatchOptions,
    pub(crate) early: Arc<EarlySender>,
    /// `MIN_FREE_BYTES`
    pub(crate) min_free_bytes: u64,
}

impl Context {
    /// Whether an event was tried for as long as the settings allow, counted from its first attempt: time spent waiting
    /// for a worker does not count. So the first attempt is never the last one.
    pub(crate) async fn was_tried_long_enough(&self, job: &Job<'_>) -> bool {
        let (received_at, now) = (job.received_at(), Utc::now());
        // No attempt can be earlier, so most failures need no database query.
        if !self.retry.is_over(received_at, now) {
            return false;
        }
        let webhook_id = job.entry.webhook_id.as_str();
        match self.store.first_attempt_at(&job.entry.project, webhook_id, received_at).await {
            Ok(first) => first.is_some_and(|first| self.retry.is_over(first, now)),
            Err(error) => {
                tracing::warn!(
                    webhook.id = webhook_id,
                    error = chain(&error),
                    "could not read the time of the event's first attempt"
                );
                false
            }
        }
    }
}

/// What is stored of a batch besides its results.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchOptions {
    /// `FETCH_BATCH_INPUTS`
    pub(crate) inputs: bool,
    /// `FETCH_BATCH_IMAGES`
    pub(crate) images: bool,
}

/// Whether objects are fetched, and with which project's API key.
pub(crate) enum Fetching {
    /// `FETCH=off`
    Off,
    /// By project: an API key can only read its own project's objects.
    With(HashMap<String, Client>),
}
