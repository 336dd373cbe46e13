//! The program `worker`: reads its settings, runs, stops well on SIGTERM.

use anyhow::Context as _;
use service::{admin, settings, shutdown, telemetry};
use worker::Settings;

fn main() -> anyhow::Result<()> {
    service::install_crypto_provider();
    let settings: Settings = settings::parse();
    telemetry::init(&settings.log);
    if settings.healthcheck {
        return Ok(admin::healthcheck(settings.admin_addr)?);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let shutdown = shutdown::on_signal().context("no signals")?;
        worker::run(settings, shutdown).await
    })
}
