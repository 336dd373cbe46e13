//! The program `fake-openai`: serves the API, sends the requested webhooks, and serves until it is stopped.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use webhook::SigningSecret;

use crate::flags::{Flags, Sending};
use crate::{FakeConfig, FakeOpenAi, OutgoingEvent, Payload, Sender, SenderConfig};

/// Runs the program with the flags of this process.
#[tokio::main]
pub async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => service::settings::fail(&*error),
    }
}

async fn run() -> anyhow::Result<()> {
    service::install_crypto_provider();
    let flags: Flags = service::settings::parse();
    let _log = service::telemetry::init(&flags.log);
    if flags.healthcheck {
        return Ok(service::admin::healthcheck(flags.addr)?);
    }
    let stop = service::shutdown::on_signal()?;
    let secret = flags.sending.secret()?;
    let fake = start(&flags, secret.clone()).await?;
    tracing::info!(openai.addr = %fake.addr(), base_url = fake.base_url(), "listening");
    tokio::select! {
        () = stop.cancelled() => {}
        sent = send(&fake, &flags.sending, secret) => {
            sent?;
            stop.cancelled().await;
        }
    }
    fake.stop().await;
    Ok(())
}

async fn start(flags: &Flags, webhook_secret: Option<SigningSecret>) -> anyhow::Result<FakeOpenAi> {
    let config = FakeConfig {
        addr: flags.addr,
        api_key: flags.api_key.clone(),
        foreign_api_key: flags.foreign_api_key.clone(),
        ranges: !flags.no_ranges,
        weak_etags: flags.weak_etags,
        webhook_secret,
        send_to: flags.sending.send_to.clone(),
        end_after: Duration::from_millis(flags.end_after_ms),
    };
    let fake = FakeOpenAi::start(config).await?;
    for fault in flags.faults() {
        fake.inject(fault);
    }
    for batch in &flags.batch {
        fake.add_generated_batch_of(&batch.id, batch.lines, batch.line_bytes);
    }
    Ok(fake)
}

async fn send(fake: &FakeOpenAi, sending: &Sending, secret: Option<SigningSecret>) -> anyhow::Result<()> {
    let Some(url) = &sending.send_to else { return Ok(()) };
    let secret = secret.context("--send-to needs --secret or --secret-file")?;
    let mut events = Vec::new();
    for (event_type, id) in sending.events() {
        events.push(event(fake, sending.payload(), event_type, id)?);
    }
    if events.is_empty() {
        return Ok(());
    }
    let mut config = SenderConfig::new(url, secret);
    config.attempts_max = sending.attempts_max.unwrap_or(config.attempts_max);
    let reports = Sender::new(config)?.send_all(events, sending.pattern()).await;
    let delivered = reports.iter().filter(|report| report.delivered).count();
    let attempts: usize = reports.iter().map(|report| report.attempts.len()).sum();
    for report in reports.iter().filter(|report| !report.delivered) {
        let last = report.attempts.last().map(|attempt| &attempt.outcome);
        tracing::warn!(webhook.id = report.webhook_id, event.r#type = report.event_type, ?last, "given up");
    }
    tracing::info!(delivered, given_up = reports.len() - delivered, attempts, "sent");
    Ok(())
}

/// With `--embed`, an event type without a demo object is still sent thin.
fn event(
    fake: &FakeOpenAi,
    payload: Payload,
    event_type: &str,
    id: Option<&str>,
) -> anyhow::Result<OutgoingEvent> {
    if let Some(event) = fake.event(event_type, id, payload) {
        return Ok(event);
    }
    if id.is_some() {
        bail!("--embed: no object with id {} for {event_type}", id.unwrap_or_default());
    }
    Ok(OutgoingEvent::thin(event_type, None))
}
