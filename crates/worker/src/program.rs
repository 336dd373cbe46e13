//! The program `worker`: reads its settings, runs, and shuts down cleanly on SIGTERM.

use std::process::ExitCode;

use service::{admin, runtime, settings, telemetry};

use crate::Settings;

/// Runs the program with the settings of this process.
pub fn main() -> ExitCode {
    service::install_crypto_provider();
    service::keep_files_private();
    let settings: Settings = settings::parse();
    let _log = telemetry::init(&settings.log);
    match run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => settings::fail(&*error),
    }
}

fn run(settings: Settings) -> anyhow::Result<()> {
    if settings.healthcheck {
        return Ok(admin::healthcheck(settings.admin_addr)?);
    }
    runtime::run(|shutdown| crate::run(settings, shutdown))
}
