//! The `ingest` program: settings, logs, run, exit code.

use std::process::ExitCode;

use service::{admin, settings, telemetry};

use crate::{RunError, Settings};

/// Runs the program with the settings of this process.
pub fn main() -> ExitCode {
    service::install_crypto_provider();
    let settings: Settings = settings::parse();
    let _log = telemetry::init(&settings.log);
    match run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(RunError::Setting(error)) => settings::refuse(&error),
        Err(RunError::Tls(error)) => settings::refuse(&error),
        Err(RunError::Redis(error)) => settings::refuse(&error),
        Err(error) => settings::fail(&error),
    }
}

fn run(settings: Settings) -> Result<(), RunError> {
    if settings.healthcheck {
        return Ok(admin::healthcheck(settings.admin_addr)?);
    }
    // The HTTP server starts its own threads (`app.rs`); everything else runs on this one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(RunError::Runtime)?;
    let ended = runtime.block_on(crate::run(settings));
    // All accepted requests have been answered: do not wait for a pending DNS look-up.
    runtime.shutdown_background();
    ended
}
