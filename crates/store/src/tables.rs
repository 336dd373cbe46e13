//! The methods of [`Store`](crate::Store) and their SQL, by table. The SQL is the same in both dialects.

pub(crate) mod batch_append;
pub(crate) mod batch_replace;
mod batch_results;
mod batch_rows;
mod batches;
mod eval_runs;
mod event_attempts;
mod event_order;
mod events;
mod files;
mod find;
mod fine_tuning;
mod finished_events;
mod health;
mod import_claim;
mod imports;
mod notification_leases;
mod notification_targets;
mod notifications;
mod prune;
mod response_files;
mod responses;
mod unfetched;
mod upsert;
