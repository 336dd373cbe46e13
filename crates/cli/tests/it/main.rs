//! The real command `landfall`, run as its users run it: arguments, environment, exit codes, stdout and stderr.
#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

/// Runs each test on SQLite and on PostgreSQL: a test takes a database that is filled.
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

mod api_double;
mod command;
mod connect;
mod dead;
mod deleting;
mod described;
mod doctor;
mod exit_codes;
mod filled;
mod forged_lines;
mod ingest_double;
mod look;
mod move_rows;
mod private_files;
mod programs;
mod repair;
mod results;
mod retry;
mod running;
mod secret_install;
mod send;
mod status;
mod tail;
mod tell;
mod terminal;
mod verify;
mod wrong_use;
