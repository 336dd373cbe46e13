//! The program `worker`: reads its settings, runs, stops well on SIGTERM.

use std::process::ExitCode;

use anyhow::Context as _;
use service::{admin, settings, shutdown, telemetry};
use worker::Settings;

fn main() -> ExitCode {
    service::install_crypto_provider();
    let settings: Settings = settings::parse();
    let _log = telemetry::init(&settings.log);
    match run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        // Logged, not printed: nobody may be reading, and a print would wait for that for ever.
        Err(error) => {
            tracing::error!(error = telemetry::chain(&*error), "worker ended");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: Settings) -> anyhow::Result<()> {
    if settings.healthcheck {
        return Ok(admin::healthcheck(settings.admin_addr)?);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let shutdown = shutdown::on_signal().context("no signals")?;
        worker::run(settings, shutdown).await
    })
}
