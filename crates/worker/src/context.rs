//! What every handler needs, built once at start.

use std::collections::HashMap;

use openai_client::Client;
use store::Store;

use crate::alarm::KeyAlarm;
use crate::isolation::Isolation;
use crate::metrics::Metrics;
use crate::notifications::Outbox;
use crate::readiness::Readiness;
use crate::retry::RetryPolicy;

/// Shared by all loops of one worker.
pub(crate) struct Context {
    pub(crate) store: Store,
    pub(crate) fetching: Fetching,
    pub(crate) retry: RetryPolicy,
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
    pub(crate) alarm: KeyAlarm,
    pub(crate) isolation: Isolation,
    pub(crate) outbox: Outbox,
    /// `MIN_FREE_BYTES`
    pub(crate) min_free_bytes: u64,
}

/// Whether objects are fetched, and with which project's key.
pub(crate) enum Fetching {
    /// `FETCH=off`
    Off,
    /// By project: an API key only sees its own project's objects.
    With(HashMap<String, Client>),
}
