//! Runs the `landfall` binary: arguments, environment, exit codes, stdout and stderr.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

/// Runs each test on SQLite and on PostgreSQL, with a filled database.
macro_rules! on_both_databases {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::filled::Filled::with_everything().await).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::filled::Filled::with_everything_in_postgres().await).await;
            })+
        }
    };
}

mod command;
mod completions_and_man;
mod connect;
mod db;
mod dead;
mod deletion;
mod doctor;
mod doctor_permissions;
mod documents;
mod exit_codes;
mod fake_api;
mod fake_ingest;
mod filled;
mod forged_lines;
mod notifications;
mod private_files;
mod programs;
mod replay_and_fetch;
mod results;
mod retry;
mod running;
mod secret_install;
mod send;
mod show;
mod status;
mod tail;
mod terminal;
mod usage_errors;
mod verify;
mod wait;
