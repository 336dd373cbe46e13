//! The program `worker`: reads its settings, runs, stops well on SIGTERM.

use std::process::ExitCode;

use anyhow::Context as _;
use service::{admin, settings, shutdown, telemetry};
use worker::Settings;

fn main() -> ExitCode {
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
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let ended = runtime.block_on(async {
        let shutdown = shutdown::on_signal().context("no signals")?;
        worker::run(settings, shutdown).await
    });
    // All that was accepted is done or handed back: a name that is still being resolved is not waited for.
    runtime.shutdown_background();
    ended
}
