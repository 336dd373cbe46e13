//! What is read from and written to each group of tables. The SQL is that of both dialects.

pub(crate) mod batch_replace;
pub(crate) mod batch_results;
mod batch_rows;
pub(crate) mod batches;
pub(crate) mod eval_runs;
pub(crate) mod event_attempts;
pub(crate) mod event_order;
pub(crate) mod events;
pub(crate) mod files;
pub(crate) mod find;
pub(crate) mod fine_tuning;
pub(crate) mod health;
pub(crate) mod imports;
pub(crate) mod notification_leases;
pub(crate) mod notification_targets;
pub(crate) mod notifications;
pub(crate) mod prune;
pub(crate) mod responses;
pub(crate) mod unfetched;
mod upsert;
