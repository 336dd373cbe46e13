//! The program `ingest`: settings, logs, run, exit code.

use std::process::ExitCode;

use ingest::{RunError, Settings};
use service::{admin, settings, telemetry};

// The HTTP server has its own threads (`app.rs`); the rest needs only one.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    service::install_crypto_provider();
    let settings: Settings = settings::parse();
    let _log = telemetry::init(&settings.log);
    let result = if settings.healthcheck {
        admin::healthcheck(settings.admin_addr).map_err(RunError::from)
    } else {
        ingest::run(settings).await
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(RunError::Setting(error)) => settings::refuse(&error),
        Err(RunError::Tls(error)) => settings::refuse(&error),
        Err(RunError::Redis(error)) => settings::refuse(&error),
        Err(error) => {
            tracing::error!(error = telemetry::chain(&error), "ingest ended");
            ExitCode::FAILURE
        }
    }
}
