//! End-to-end tests: the real programs as processes, real sockets, a real Redis, SQLite or a real PostgreSQL; only OpenAI
//! is a fake.
//! One file per guarantee. The programs must be built first: `scripts/test` does that, and a test fails with a hint if they
//! are older than their sources.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

/// Runs each test on SQLite and on PostgreSQL. A test has the database as its argument.
macro_rules! on_both_databases {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::harness::Database::Sqlite).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::harness::Database::Postgres).await;
            })+
        }
    };
}

mod agents;
mod api_keys;
mod batch_images;
mod batch_inputs;
mod body_memory;
mod browser;
mod burst;
mod calls;
mod calls_latency;
mod caps;
mod changes;
mod chromium;
mod console;
mod console_access;
mod console_acts;
mod console_bodies;
mod console_client;
mod console_objects;
mod console_outages;
mod console_overview;
mod console_page_acts;
mod console_targets;
mod created_jobs;
mod cut_downloads;
mod damage_by_hand;
mod demo;
mod disk_full;
mod disk_low;
mod duplicates;
mod every_family;
mod fetch_off;
mod fine_tuning_parts;
mod forgeries;
mod group_commit;
mod harness;
mod health;
mod health_permissions;
mod health_targets;
mod import_progress;
mod imported;
mod late_files;
mod log_reader;
mod memory;
mod network;
mod newer_format;
mod notifications;
mod object_storage;
mod odd_answers;
mod odd_batches;
mod odd_evals;
mod odd_files;
mod odd_fine_tunes;
mod odd_responses;
mod odd_states;
mod page_client;
mod poison;
mod postgres_outage;
mod raw_redis;
mod redis_access;
mod redis_full;
mod redis_outage;
mod repair;
mod reread;
mod response_files;
mod response_images;
mod retry_time;
mod rolling_ingest;
mod rolling_restarts;
mod safety_alerts;
mod secrets;
mod settings;
mod shared_pause;
mod shutdown;
mod states;
mod strange_values;
mod two_workers;
mod unknown_events;
mod wait;
mod watched_files;
mod worker_crash;
mod write_lock;
