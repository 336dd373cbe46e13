//! The program `worker`: reads its settings, runs, and shuts down cleanly on SIGTERM.

use std::process::ExitCode;

use anyhow::Context as _;
use service::{admin, settings, shutdown, telemetry};

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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("could not start the async runtime")?;
    let ended = runtime.block_on(async {
        let shutdown = shutdown::on_signal().context("could not install the signal handlers")?;
        crate::run(settings, shutdown).await
    });
    // All deliveries are settled or released by now; a DNS lookup that is still running need not delay the exit.
    runtime.shutdown_background();
    ended
}
