//! Limits of a store that only reads.

use std::time::Duration;

/// Keeps a program with many clients from slowing down workers.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    /// Connections to the database.
    pub connections: u32,
    /// The database cancels a statement that takes longer; see [`StoreError::is_too_slow`](crate::StoreError::is_too_slow).
    pub statement_time: Duration,
}
